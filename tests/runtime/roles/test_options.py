# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of every role, wrong in turn: one line that names it, before anything happens. The READMEs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
#: What no value of a type can be.
WRONG: dict[str, Any] = {
    "int": "many",
    "bool": "perhaps",
    "dict": "no dictionary",
    "list": {"a": 1},
    "float": "much",
}
#: Values of the right type that still cannot be, as the roles themselves find out.
IMPOSSIBLE = [
    ("pki", "pki_renew_within", "soon"),
    ("registry", "registry_port", 70000),
    ("registry", "registry_bind_address", {"registry_bind_address": "0.0.0.0", "registry_tls": False}),
    ("images", "images_list", [{"name": "made:1", "state": "present"}]),
]


def tool(name: str) -> str:
    """A program of ansible-core: in the folder that NAVARCH_TEST_ANSIBLE names, beside Python or on PATH."""
    places = [
        os.environ.get("NAVARCH_TEST_ANSIBLE"),
        str(Path(sys.executable).parent),
        os.environ.get("PATH"),
    ]
    found = shutil.which(name, path=os.pathsep.join(filter(None, places)))
    if found is None:
        assert not os.environ.get("CI"), f"{name} of ansible-core is missing: nothing would be proven"
        pytest.skip(f"needs {name} of ansible-core")
    return found


def wrong_ones() -> list[tuple[str, str, Any]]:
    found: list[tuple[str, str, Any]] = []
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        spec = yaml.safe_load(path.read_text())["argument_specs"]["main"]
        for name, option in spec["options"].items():
            if option.get("choices"):
                found.append((path.parts[-3], name, "none of them"))
            elif option.get("type", "str") in WRONG:
                found.append((path.parts[-3], name, WRONG[option["type"]]))
    return found


def play(tasks: list[dict[str, Any]], folder: Path) -> dict[str, str]:
    """Run each task, in check mode; what it said when it failed, by its name."""
    steps: list[dict[str, Any]] = [
        {
            "block": [task],
            "rescue": [
                {
                    "ansible.builtin.set_fact": {
                        "told": "{{ told | default({}) | combine({name: ansible_failed_result.msg}) }}"
                    },
                    "vars": {"name": task["name"]},
                }
            ],
        }
        for task in tasks
    ]
    write = {"content": "{{ told | to_json }}", "dest": f"{folder}/told"}
    steps.append({"ansible.builtin.copy": write, "check_mode": False})
    document = [{"hosts": "localhost", "connection": "local", "gather_facts": True, "tasks": steps}]
    (folder / "play.yml").write_text(json.dumps(document))
    collections = folder / "collections/ansible_collections/navarch"
    collections.mkdir(parents=True)
    (collections / "cluster").symlink_to(ROOT)
    done = subprocess.run(
        [tool("ansible-playbook"), "--check", "-i", "localhost,", folder / "play.yml"],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    told: dict[str, str] = json.loads((folder / "told").read_text())
    return told


def test_a_wrong_value_is_one_line_that_names_the_option(tmp_path: Path) -> None:
    cases = wrong_ones() + IMPOSSIBLE
    assert len(cases) > 40, "the argument specs were not found"
    tasks = [
        {
            "name": f"{role}.{option}",
            "ansible.builtin.include_role": {"name": f"navarch.cluster.{role}"},
            # Of what cannot be together, the values of all.
            "vars": value if isinstance(value, dict) and option in value else {option: value},
        }
        for role, option, value in cases
    ]
    told = play(tasks, tmp_path)
    silent = [task["name"] for task in tasks if task["name"] not in told]
    assert not silent, f"a wrong value went unnoticed: {silent}"
    for name, message in told.items():
        # ansible-core puts a heading of its own above, and says it again of options that have options.
        lines = message.removeprefix("Validation of arguments failed:").strip().splitlines()
        assert 1 <= len(lines) <= 3, f"{name}: {message}"
        assert any(name.partition(".")[2] in line for line in lines), f"{name}: {message}"
        assert "Traceback" not in message


def test_the_readmes_are_made_from_the_options() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/role_docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_defaults_and_argument_specs_name_the_same_options() -> None:
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        spec = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        defaults = yaml.safe_load((path.parents[1] / "defaults/main.yml").read_text())
        assert set(spec) == set(defaults), path.parts[-3]
        for name, option in spec.items():
            if "default" in option and not (isinstance(defaults[name], str) and "{{" in defaults[name]):
                assert option["default"] == defaults[name], name
