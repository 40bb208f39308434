# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the section "Options" of every role's README out of its argument_specs.yml; `--check` only looks.

What a role is for, and how it is used, is said by hand in the other sections.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SECTION = re.compile(r"^## Options\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
#: Ansible's markup: C(code), V(value), O(option), E(environment variable), P(plugin#type).
MARKUP = re.compile(r"\b[CVOE]\(([^()]*)\)|\bP\(([^()#]*)(?:#\w+)?\)")


def plain(text: str) -> str:
    """Markup as Markdown, in one cell of a table."""
    return MARKUP.sub(lambda found: f"`{found[1] or found[2]}`", text).replace("|", "\\|").strip()


def meaning(option: dict[str, Any]) -> str:
    told = option["description"]
    words = plain(" ".join(told) if isinstance(told, list) else told)
    if choices := option.get("choices"):
        words += " One of " + ", ".join(f"`{choice}`" for choice in choices) + "."
    return words


def default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return ""
    value = option["default"]
    if value == "":
        return "empty"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def rows(options: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for name, option in options.items():
        kind = option.get("type", "str")
        if kind == "list":
            kind = f"list of {option.get('elements', 'str')}"
        found.append(f"| `{before}{name}` | {kind} | {default(option)} | {meaning(option)} |")
        found += rows(option.get("options", {}), f"{before}{name}.")
    return found


def section(role: Path) -> str:
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    table = ["| option | type | default | meaning |", "|---|---|---|---|", *rows(spec["options"])]
    return "\n".join(["## Options", "", *table, "", ""])


def readme(role: Path) -> str:
    """The README as it should be. Raises ValueError when it has no place for the options."""
    old = (role / "README.md").read_text()
    if not SECTION.search(old):
        raise ValueError(f'{role.name}/README.md has no section "## Options"')
    return SECTION.sub(lambda _: section(role), old).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    stale = []
    for role in sorted(path.parent.parent for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")):
        wanted = readme(role)
        if (role / "README.md").read_text() == wanted:
            continue
        stale.append(role.name)
        if "--check" not in arguments:
            (role / "README.md").write_text(wanted)
    if stale and "--check" in arguments:
        print(f"error: run tools/role_docs.py: the README is not current of {', '.join(stale)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
