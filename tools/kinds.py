# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what follows from the table of kinds (``kinds.yml``) on the Ansible side; ``--check`` only looks.

From a row follow the module ``NAME_info`` with its documentation, its place in ``meta/runtime.yml``, and its
name in the README. From the modules' documentation follow the action groups, and which modules the action
plugin runs: those that connect to a cluster. Keys of a row:

``name``         as in the names of modules and results: ``config_map``
``api_version``, ``kind``, ``plural``  as the API has them
``namespaced``   false for kinds that have no namespace
``redacted``     true for kinds that hold secrets: the option ``reveal`` shows them
``seealso``      in place of the module ``NAME`` and ``object_info``
``sample``       one object as a result, without ``apiVersion`` and ``kind``
``examples``     tasks

Not here: modules that change objects. Each has options of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "plugins" / "modules"
#: The action group of the modules that extend a documentation fragment.
GROUPS = {"cloud": "navarch.cluster.cloud_auth", "cluster": "navarch.cluster.auth"}
ACTION = "navarch.cluster.pod"
#: The row of README.md that names all kinds.
README_ROW = re.compile(r"^\| .* \| one object each, .* \|$", re.MULTILINE)

HEADER = """# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""
UTILS = "ansible_collections.navarch.cluster.plugins.module_utils"


def rows() -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = yaml.safe_load((ROOT / "tools" / "kinds.yml").read_text())
    return table


def wrapped(text: str) -> str:
    """An entry of a list in YAML, over as many lines as it needs."""
    return textwrap.fill(text, 110, initial_indent="  - ", subsequent_indent="    ")


def indented(text: str, by: int) -> str:
    return textwrap.indent(text.rstrip("\n"), " " * by)


def info_module(row: dict[str, Any]) -> str:
    """The source of one ``_info`` module."""
    name, many = row["name"], row["name"] + "s"
    words = many.replace("_", " ")
    namespaced, redacted = row.get("namespaced", True), row.get("redacted", False)
    description = [
        f"Returns {words} of a Navarch cluster, or of any other cluster that speaks the Kubernetes API."
    ]
    fragments = ["attributes", "attributes.reads", "auth", "selectors", "named"]
    specs = [
        "args.selectors_spec()",
        "args.named_spec()" if namespaced else "args.named_spec(namespaced=False)",
    ]
    if namespaced:
        fragments.append("named.namespaced")
    if redacted:
        fragments.append("named.reveal")
        specs.append("args.reveal_spec()")
        description.append("What they hold is not shown, unless O(reveal=true).")
    own = [{"module": f"navarch.cluster.{name}"}] if (MODULES / f"{name}.py").exists() else []
    also = row.get("seealso", [*own, {"module": "navarch.cluster.object_info"}])
    constant = f'Kind("{row["api_version"]}", "{row["kind"]}", "{row["plural"]}"'
    constant += ")" if namespaced else ", namespaced=False)"
    lines = [
        f'{HEADER}"""Module navarch.cluster.{name}_info, written by tools/kinds.py from tools/kinds.yml."""',
        "",
        "from __future__ import annotations",
        "",
        'DOCUMENTATION = r"""',
        f"module: {name}_info",
        f"short_description: Look at {words}",
        "version_added: 0.1.0",
        "author:",
        "  - Navarch developers (@navarch)",
        "description:",
        *map(wrapped, description),
        "extends_documentation_fragment:",
        *(f"  - navarch.cluster.{fragment}" for fragment in fragments),
        "options: {}",
        "seealso:",
        indented(yaml.safe_dump(also, sort_keys=False), 2),
        '"""',
        "",
        'EXAMPLES = r"""',
        row["examples"].rstrip("\n"),
        '"""',
        "",
        'RETURN = r"""',
        f"{many}:",
        f"  description: The {words} that were found, by {'namespace and ' if namespaced else ''}name. "
        "Empty when there are none.",
        "  returned: success",
        "  type: list",
        "  elements: dict",
        "  sample:",
        f"    - apiVersion: {row['api_version']}",
        f"      kind: {row['kind']}",
        indented(row["sample"], 6),
        '"""',
        "",
        "import typing as t",
        "",
        f"from {UTILS}._api.client import Client, Kind",
        f"from {UTILS}._module import args",
        f"from {UTILS}._module.runner import run_module",
        f"from {UTILS}._resources.info import found",
        "",
        f"KIND = {constant}",
        "",
        "",
        "def spec() -> args.Spec:",
        f"    return args.merge({', '.join(specs)})",
        "",
        "",
        "def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:",
        f'    return found(client, KIND, params, "{many}")',
        "",
        "",
        "def main() -> None:",
        "    run_module(run, spec())",
        "",
        "",
        'if __name__ == "__main__":',
        "    main()",
        "",
    ]
    source = "\n".join(lines)
    ruff = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--stdin-filename",
        f"plugins/modules/{name}_info.py",
        "-",
    ]
    return subprocess.run(ruff, input=source, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def fragments_of(source: str) -> set[str]:
    """The documentation fragments that a module extends."""
    listed = re.search(r"^extends_documentation_fragment:\n((?:  - .*\n)+)", source, re.MULTILINE)
    return {line.removeprefix("  - ") for line in listed[1].splitlines()} if listed else set()


def runtime(modules: dict[str, str]) -> str:
    """``meta/runtime.yml`` for these modules (name: source)."""
    meta = ROOT / "meta" / "runtime.yml"
    known: dict[str, Any] = yaml.safe_load(meta.read_text())
    groups = {
        group: sorted(name for name, source in modules.items() if fragment in fragments_of(source))
        for group, fragment in GROUPS.items()
    }
    known["action_groups"] = groups
    known.setdefault("plugin_routing", {})["modules"] = {
        name: {"action_plugin": ACTION} for name in groups["cluster"]
    }

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    return "# SPDX-License-Identifier: GPL-3.0-or-later\n---\n" + yaml.dump(
        known, Dumper=Dumper, sort_keys=False
    )


def readme(table: list[dict[str, Any]]) -> str:
    """README.md with the kinds that a module with ``definition`` makes, and those with ``_info`` alone."""
    names = [row["name"] for row in table]
    sources = {name: MODULES / f"{name}.py" for name in names}
    made = [
        n for n in names if sources[n].exists() and "navarch.cluster.definition" in sources[n].read_text()
    ]
    seen = [n for n in names if not sources[n].exists()]

    def listed(found: list[str], end: str = "") -> str:
        return ", ".join(f"`{name}{end}`" for name in found)

    row = f"| {listed(made)} | one object each, with options in snake_case or a raw `definition`; "
    row += f"each has an `_info` twin: {listed(made, '_info')}"
    row += f"; only looking: {listed(seen, '_info')} |" if seen else " |"
    text, count = README_ROW.subn(lambda _found: row, (ROOT / "README.md").read_text())
    if count != 1:
        raise SystemExit("README.md: not one row says what modules make one object each")
    return text


def main(arguments: list[str]) -> None:
    table = rows()
    made = {MODULES / f"{row['name']}_info.py": info_module(row) for row in table}
    modules = {path.stem: path.read_text() for path in MODULES.glob("*.py")}
    modules |= {path.stem: source for path, source in made.items()}
    made |= {ROOT / "meta" / "runtime.yml": runtime(modules), ROOT / "README.md": readme(table)}
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    if arguments == ["--check"]:
        if stale:
            raise SystemExit(
                "run tools/kinds.py: " + ", ".join(str(path.relative_to(ROOT)) for path in stale)
            )
        return
    if arguments:
        raise SystemExit("usage: kinds.py [--check]")
    for path in stale:
        path.write_text(made[path])
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
