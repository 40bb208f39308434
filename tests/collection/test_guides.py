# SPDX-License-Identifier: GPL-3.0-or-later
"""What README and guides show is there: YAML, modules, options, roles, playbooks, and where links lead."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "roles/*/README.md", "extensions/**/README.md")
    for path in ROOT.glob(pattern)
)
# Names behind navarch.cluster. that are no plugin, role or playbook.
OTHER = set(yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The plugins that pages speak of, by the names that ansible-doc has for their kinds.
KINDS = ("module", "lookup", "filter", "inventory", "connection", "test", "callback")


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All plugins by kind and short name, as ansible-doc tells of them."""
    place = tmp_path_factory.mktemp("collections")
    (place / "ansible_collections/navarch").mkdir(parents=True)
    (place / "ansible_collections/navarch/cluster").symlink_to(ROOT)
    found: dict[str, dict[str, Any]] = {}
    program = Path(sys.executable).parent / "ansible-doc"
    done = subprocess.run(
        [program, "--metadata-dump", "--no-fail-on-errors", "navarch.cluster"],
        env={"ANSIBLE_COLLECTIONS_PATH": str(place), "PATH": str(program.parent), "LC_ALL": "C.UTF-8",
             "HOME": str(place)},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    for kind, plugins in json.loads(done.stdout)["all"].items():
        found[kind] = {name.removeprefix("navarch.cluster."): told for name, told in plugins.items()}
    return found


def names(documented: dict[str, dict[str, Any]]) -> set[str]:
    there = {name for kind in KINDS for name in documented.get(kind, {})}
    there |= {path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml")}
    there |= {path.stem for path in ROOT.glob("playbooks/*.yml")}
    there |= {path.stem for path in ROOT.glob("extensions/eda/plugins/event_source/*.py")}
    return there


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language in languages]


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document, at any depth."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from mappings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from mappings(inner)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_its_names_exist(page: Path, documented: dict[str, dict[str, Any]]) -> None:
    there = names(documented) | OTHER
    said = set(re.findall(r"navarch\.cluster\.(\w+)", page.read_text())) - {"NAME", "git"}
    assert said <= there, f"not there: {sorted(said - there)}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_its_yaml_parses_and_names_options_that_modules_have(
    page: Path, documented: dict[str, dict[str, Any]]
) -> None:
    for text in blocks(page, "yaml", "yml"):
        documents = list(yaml.safe_load_all(text))
        assert documents, text
        for mapping in mappings(documents):
            for key, options in mapping.items():
                module = str(key).removeprefix("navarch.cluster.")
                if module == key or not isinstance(options, dict) or module in OTHER:
                    continue
                known = documented["module"][module]["doc"]["options"]
                allowed = set(known) | {alias for told in known.values() for alias in told.get("aliases", [])}
                assert set(options) <= allowed, f"{module} has no {sorted(set(options) - allowed)}"
                needed = {name for name, told in known.items() if told.get("required")}
                assert needed <= set(options), f"{module} wants {sorted(needed - set(options))}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_its_role_variables_exist(page: Path) -> None:
    roles = {path.parent.parent.name: path for path in ROOT.glob("roles/*/meta/argument_specs.yml")}
    for text in blocks(page, "yaml", "yml"):
        for mapping in mappings(list(yaml.safe_load_all(text))):
            role = str(mapping.get("role", "")).removeprefix("navarch.cluster.")
            if role not in roles:
                continue
            known = set(yaml.safe_load(roles[role].read_text())["argument_specs"]["main"].get("options", {}))
            own = {name for name in mapping if name.startswith(f"{role}_")}
            assert own <= known, f"the role {role} has no {sorted(own - known)}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} leads nowhere"
        assert there.is_relative_to(ROOT)
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in headings}
            assert anchor in slugs, f"{target}: no such heading"


def test_every_guide_is_named_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [named(page) for page in PAGES if named(page).startswith("docs/") and named(page) not in readme]
    assert not missing


def test_pictures_are_drawn_from_the_text_beside_them() -> None:
    drawn = runpy.run_path(str(ROOT / "tools/picture.py"))["draw"]
    sources = sorted((ROOT / "docs/images").glob("*.txt"))
    assert sources
    for source in sources:
        assert source.with_suffix(".svg").read_text() == drawn(source.read_text()), source.name


@pytest.mark.parametrize(
    "pattern",
    [
        "plugins/modules/*.py",
        "plugins/inventory/*.py",
        "plugins/connection/*.py",
        "plugins/lookup/*.py",
        "plugins/filter/*.py",
        "extensions/eda/plugins/event_source/*.py",
        "playbooks/*.yml",
    ],
)
def test_the_readme_names_all_there_is(pattern: str) -> None:
    named = set(re.findall(r"`(?:navarch\.cluster\.)?(\w+)`", (ROOT / "README.md").read_text()))
    there = {path.stem for path in ROOT.glob(pattern) if not path.stem.startswith("_")}
    assert there, f"nothing at {pattern}"
    assert there <= named | {"site"}, f"the README does not name {sorted(there - named)}"
