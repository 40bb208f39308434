# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What holds for every module: its options are documented once and put together from the same parts."""

from __future__ import annotations

import importlib
import pathlib

import pytest
import yaml
from ansible_collections.navarch.cluster.plugins import module_utils
from ansible_collections.navarch.cluster.plugins.module_utils._module import args

PLUGINS = pathlib.Path(args.__file__).parents[2]
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py") if path.stem != "__init__")

CLUSTER = [
    n for n in MODULES if "  - navarch.cluster.auth\n" in (PLUGINS / "modules" / (n + ".py")).read_text()
]
CLOUD = [
    n
    for n in MODULES
    if "  - navarch.cluster.cloud_auth\n" in (PLUGINS / "modules" / (n + ".py")).read_text()
]
NODE = ["image", "image_info"]  # which ask the node that they run on, and no cluster


def load(name):
    return importlib.import_module("%s.modules.%s" % (module_utils.__name__.rpartition(".")[0], name))


def test_the_action_group_has_all_modules_of_the_cluster():
    runtime = yaml.safe_load((PLUGINS.parent / "meta" / "runtime.yml").read_text())
    assert runtime["action_groups"] == {"cloud": CLOUD, "cluster": CLUSTER}
    assert sorted(CLOUD + CLUSTER + NODE) == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_the_parts_of_a_module(name):
    module = load(name)
    fragments = yaml.safe_load(module.DOCUMENTATION)["extends_documentation_fragment"]
    assert name in CLOUD + NODE or "navarch.cluster.attributes" in fragments
    whole = args.merge(  # which refuses an option that comes twice
        args.auth_spec() if name in CLUSTER else {}, module.spec()
    )
    assert set(args.wait_spec()) <= set(whole) or "navarch.cluster.wait" not in fragments
    for task in yaml.safe_load(module.EXAMPLES):
        used = [key for key in task if "." in key]
        assert used, "examples name modules in full"
        options = task.get("navarch.cluster." + name) or {}
        assert set(options) <= set(whole)


def test_an_option_that_comes_twice_is_noticed():
    with pytest.raises(ValueError, match="wait"):
        args.merge(args.wait_spec(), args.wait_spec())
