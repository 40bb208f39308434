# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every option of every module wrong in turn: each time one line that names it, and no cluster is asked."""

from __future__ import annotations

import importlib
import pathlib

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.options import whole
from ansible_collections.navarch.cluster.plugins.plugin_utils import in_process

PLUGINS = pathlib.Path(args.__file__).parents[2]
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py") if path.stem != "__init__")
WRONG = {"int": "soon", "bool": "perhaps", "dict": 3, "list": {"a": 1}, "float": "much"}
RIGHT = {"int": 1, "bool": True, "list": []}
#: What the rules of a module want besides the options that are required anyway.
BESIDES = {
    **{name: {"name": "x"} for name in ("config_map", "namespace", "replication_controller")},
    **{name: {"name": "x"} for name in ("secret", "service")},
    "image": {"src": "x"},
    "manifest": {"src": []},
    "pod": {"name": "x", "containers": []},
    "pod_copy": {"src": "x"},
    "pod_exec": {"command": "x"},
    "schedule": {"pod": "x", "node": "x"},
}


def beside(name, values):
    return {"state": "planned"} if "template" in values and name == "schedule" else BESIDES.get(name, {})


def least(spec):
    """Values for what must be there."""
    return {name: right(option) for name, option in spec.items() if option.get("required")}


def right(option):
    if option.get("type") == "dict":
        return least(option.get("options") or {})
    return option.get("choices", [RIGHT.get(option.get("type"), "x")])[0]


def mistakes(spec):
    """(option, options of which that one is wrong) for all options, and those within them."""
    for name, option in spec.items():
        kind = option.get("type")
        if kind in WRONG:
            wrong = 1 if getattr(option, "by", None) else WRONG[kind]  # for which a mapping may stand
            yield name, dict(least(spec), **{name: wrong})
        if option.get("choices"):
            yield name, dict(least(spec), **{name: "nonsense"})
        if option.get("options"):
            inner = dict(option["options"])
            for found, values in [*mistakes(inner), ("nmae", dict(least(inner), nmae=1))]:
                yield found, dict(least(spec), **{name: [values] if kind == "list" else values})


def checked(module, values):
    """What becomes of a task of a module that no cluster is asked by, and no process of Ansible's runs."""
    errors = (
        ArgumentSpecValidator(module.spec(), **getattr(module, "RULES", {})).validate(values).error_messages
    )
    return {"failed": bool(errors), "msg": (errors or [""])[0]}


def module_of(name):
    return importlib.import_module(in_process.MODULES + name)


def asks_a_cluster(module):
    return "navarch.cluster.auth\n" in module.DOCUMENTATION


@pytest.mark.parametrize("name", MODULES)
def test_one_line_that_names_the_option(name, monkeypatch):
    monkeypatch.setattr(in_process, "execute", lambda *asked: pytest.fail("the cluster was asked"))
    module = module_of(name)
    clustered = asks_a_cluster(module)
    spec = whole(args.merge(args.auth_spec(), module.spec()) if clustered else module.spec())
    tried = 0
    for option, values in [*mistakes(spec), ("nmae", dict(least(spec), nmae=1))]:
        values = dict(beside(name, values), **values)
        result = in_process.run_task(name, values, False) if clustered else checked(module, values)
        assert result["failed"], values
        ruled = not clustered and "one of the following is required" in result["msg"]
        assert option in result["msg"] or ruled, values
        assert "\n" not in result["msg"]
        tried += 1
    assert tried


@pytest.mark.parametrize("name", [name for name in MODULES if asks_a_cluster(module_of(name))])
def test_an_empty_name_is_refused_before_the_cluster_is_asked(name, monkeypatch):
    monkeypatch.setattr(in_process, "connect", lambda *asked: pytest.fail("the cluster was asked"))
    spec = module_of(name).spec()
    for option in sorted(set(args.NAMES) & set(spec)):
        for state in (spec.get("state") or {}).get("choices") or [None]:
            many = spec[option]["type"] == "list"
            for empty in ("", " "):
                values = dict(least(spec), **beside(name, {}))
                if (option, state) == ("pods", "planned"):
                    values.pop("pod")
                values[option] = [empty] if many else empty
                if state:
                    values["state"] = state
                if name == "schedule" and option == "pods" and state == "bound":
                    continue
                result = in_process.run_task(name, values, False)
                assert result["failed"]
                assert result["msg"] == "%s: must not be empty" % (option + "[0]" if many else option)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"containers": ["a"]}, 'containers: must be a mapping, not "a"'),
        ({"containers": [{"name": "c", "image": "i", "ports": "80"}]}, "containers.ports: must be a mapping"),
        ({"containers": [{"name": "c", "image": "i", "ports": [80]}]}, "containers.ports: must be a mapping"),
        ({"containers": "a"}, 'containers: must be a mapping, not "a"'),
    ],
)
def test_what_is_no_mapping_is_named(options, said):
    result = in_process.run_task("pod", dict(options, name="x"), False)
    assert result["failed"]
    assert result["msg"].startswith(said)
