# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is documented of each module is what its code takes: option by option, however deep."""

from __future__ import annotations

import importlib
import pathlib
import re

import pytest
import yaml
from ansible_collections.navarch.cluster.plugins import module_utils
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.options import whole

PLUGINS = pathlib.Path(args.__file__).parents[2]
ROOT = module_utils.__name__.rpartition(".")[0]
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py") if path.stem != "__init__")


def fragment(name):
    """The options of a doc fragment of this collection."""
    file, _dot, part = name.replace("navarch.cluster.", "").partition(".")
    found = importlib.import_module("%s.doc_fragments.%s" % (ROOT, file)).ModuleDocFragment
    return yaml.safe_load(getattr(found, part.upper() or "DOCUMENTATION"))


def documented(module):
    """All options that a module's documentation names, those of its fragments among them."""
    own = yaml.safe_load(module.DOCUMENTATION)
    options = {}
    for name in own.get("extends_documentation_fragment", []):
        options.update(fragment(name).get("options") or {})
    options.update(own.get("options") or {})
    return options


def as_spec(options):
    """Options as a spec says them: without words."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": bool(option.get("required")),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "aliases": option.get("aliases") or [],
            "options": as_spec(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_documentation_and_spec_agree(name):
    module = importlib.import_module("%s.modules.%s" % (ROOT, name))
    fragments = yaml.safe_load(module.DOCUMENTATION)["extends_documentation_fragment"]
    spec = (
        args.merge(args.auth_spec(), module.spec()) if "navarch.cluster.auth" in fragments else module.spec()
    )
    assert as_spec(documented(module)) == as_spec(spec)


_REFERS = re.compile(
    r"Its options are those of O\((?:navarch\.cluster\.(\w+)#module:)?([^)]*)\)(, but for the probes)?\."
)


def referring(spec, options, path=()):
    """(path, spec, description) of each option whose own options are documented elsewhere."""
    for name, wanted in spec.items():
        option = options[name]
        if getattr(wanted, "inner", None):
            said = option["description"]
            yield (*path, name), wanted, said if isinstance(said, str) else " ".join(said)
        elif wanted.get("options"):
            yield from referring(wanted["options"], option["suboptions"], (*path, name))


def at(module, path):
    """The options documented at a path such as containers[].liveness_probe, and their spec."""
    option, spec = {"suboptions": documented(module)}, {"options": module.spec()}
    for step in path.replace("[]", "").split("."):
        option, spec = option["suboptions"][step], spec["options"][step]
    return option, spec


@pytest.mark.parametrize("name", MODULES)
def test_what_is_documented_elsewhere_is_there(name):
    """What an option refers to has its options: the same ones, by name, type and rules, however deep."""
    module = importlib.import_module("%s.modules.%s" % (ROOT, name))
    for path, wanted, said in referring(module.spec(), documented(module)):
        refers = _REFERS.search(said)
        assert refers, path
        there = importlib.import_module("%s.modules.%s" % (ROOT, refers[1] or name))
        option, spec = at(there, refers[2])
        assert option.get("suboptions") or getattr(spec, "inner", None), path
        expected = whole({"x": spec})["x"]["options"]
        found = whole({"x": wanted})["x"]["options"]
        if refers[3]:
            expected = {key: part for key, part in expected.items() if not key.endswith("_probe")}
        assert as_spec(found) == as_spec(expected), path


def test_a_reference_that_leads_nowhere_is_noticed():
    module = importlib.import_module("%s.modules.pod" % ROOT)
    paths = {".".join(path) for path, _wanted, _said in referring(module.spec(), documented(module))}
    assert {"affinity", "containers.readiness_probe", "init_containers", "volumes.secret"} <= paths
    with pytest.raises(KeyError):
        at(module, "containers[].nothing")


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_says_of_itself(name):
    module = importlib.import_module("%s.modules.%s" % (ROOT, name))
    said = yaml.safe_load(module.DOCUMENTATION)
    assert said["module"] == name
    assert yaml.safe_load(module.RETURN)
    assert yaml.safe_load(module.EXAMPLES)
    fragments = said["extends_documentation_fragment"]
    looks = "navarch.cluster.attributes.reads" in fragments
    assert looks or not name.endswith("_info") or "navarch.cluster.auth" not in fragments
    writes = {"state", "content", "command"} & set(module.spec())
    assert not (looks and writes)


def test_routing_and_action_group_have_every_module_with_a_cluster():
    runtime = yaml.safe_load((PLUGINS.parent / "meta" / "runtime.yml").read_text())
    of_cluster = [name for name in MODULES if "navarch.cluster.auth" in _fragments(name)]
    assert runtime["action_groups"]["cluster"] == of_cluster
    routes = runtime["plugin_routing"]["modules"]
    assert {name: {"action_plugin": "navarch.cluster.pod"} for name in of_cluster}.items() <= routes.items()
    assert set(routes) <= set(MODULES)


def _fragments(name):
    module = importlib.import_module("%s.modules.%s" % (ROOT, name))
    return yaml.safe_load(module.DOCUMENTATION)["extends_documentation_fragment"]
