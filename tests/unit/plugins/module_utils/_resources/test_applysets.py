# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""IDs and labels of sets."""

from __future__ import annotations

import re

from ansible_collections.navarch.cluster.plugins.module_utils._resources.applysets import (
    applyset_id,
    old_value,
)


def test_sets_of_different_namespaces_have_different_labels():
    assert old_value("prod", "shop.web") == "prod_shop.web"
    long = [old_value("n" * 63, "s" * 46 + end) for end in "ab"] + [old_value("a-" * 20 + "b", "s" * 47)]
    assert len(set(long)) == 3
    for value in long:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,61}[A-Za-z0-9]", value)
        assert "__" in value, "a short one could be the same"


def test_an_id_is_a_label_value():
    """That it is kubectl's ID of the same parent is seen where kubectl runs (tests/runtime/ansible)."""
    made = applyset_id("navarch-set-shop", "prod", "ConfigMap", "")
    assert made == "applyset-pt-Mn_0O6oTE_WSNMg4xwhXQxUD0P3MWZc23_RygORI-v1"
    assert len(made) <= 63
