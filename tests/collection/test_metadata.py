# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection says of itself: one version everywhere, tags Galaxy knows, and all of it is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Galaxy wants one of these among the tags of a collection.
CATEGORIES = {
    *("application", "cloud", "database", "eda", "infrastructure", "linux", "monitoring"),
    *("networking", "security", "storage", "tools", "windows"),
}


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


@pytest.fixture(scope="module")
def galaxy() -> dict[str, Any]:
    content: dict[str, Any] = load("galaxy.yml")
    return content


def test_the_version_is_the_same_everywhere(galaxy: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    source = (ROOT / "src/navarch/__init__.py").read_text()
    assert {galaxy["version"], project["version"], *re.findall(r'__version__ = "(.+)"', source)} == {
        galaxy["version"]
    }
    assert re.fullmatch(r"\d+\.\d+\.\d+", galaxy["version"])


def test_galaxy_can_sort_and_show_it(galaxy: dict[str, Any]) -> None:
    assert galaxy["dependencies"] == {}, "it shall install into an empty place"
    assert CATEGORIES.intersection(galaxy["tags"])
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", tag) for tag in galaxy["tags"]), galaxy["tags"]
    assert len(galaxy["tags"]) == len(set(galaxy["tags"])) <= 20
    assert galaxy["license"] == ["GPL-3.0-or-later"]
    assert (ROOT / galaxy["readme"]).is_file()
    assert len(galaxy["description"]) <= 200
    links = {"repository", "documentation", "homepage", "issues"}
    assert all(galaxy[link].startswith("https://") for link in links), links


def test_it_says_which_ansible_it_needs() -> None:
    runtime = load("meta/runtime.yml")
    assert runtime["requires_ansible"] == ">=2.19.0"
    pinned = re.findall(r"^ansible-core>=([\d.]+)", (ROOT / "tools/requirements.txt").read_text(), re.M)
    assert min(pinned) == "2.19", "the oldest core that it names is the oldest that the tests run with"


def test_its_action_group_and_routing_name_modules_that_are_there() -> None:
    runtime = load("meta/runtime.yml")
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")} - {"__init__"}
    group = set(runtime["action_groups"]["cluster"])
    assert group <= modules
    assert set(runtime["plugin_routing"]["modules"]) <= modules


def test_every_role_has_what_a_user_looks_for() -> None:
    roles = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
    assert roles
    for role in roles:
        specs = load(f"roles/{role.name}/meta/argument_specs.yml")["argument_specs"]
        assert "main" in specs, role.name
        readme = (role / "README.md").read_text()
        missing = [option for option in specs["main"].get("options", {}) if f"`{option}`" not in readme]
        assert not missing, f"{role.name}/README.md does not tell of {missing}"
        assert f"roles/{role.name}/README.md" in (ROOT / "README.md").read_text(), role.name


def test_an_execution_environment_gets_what_the_plugins_import() -> None:
    environment = load("meta/execution-environment.yml")
    assert environment["version"] == 3
    for kind in ("python", "system"):
        assert (ROOT / environment["dependencies"][kind]).is_file(), kind
    named = {
        re.split(r"[<>=\[; ]", line)[0].lower()
        for line in (ROOT / environment["dependencies"]["python"]).read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert {"requests", "pyyaml"} <= named
