# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The label of a set's members."""

from __future__ import annotations

import re

from ansible_collections.navarch.cluster.plugins.module_utils._resources.applysets import label_value


def test_sets_of_different_namespaces_have_different_labels():
    assert label_value("prod", "shop.web") == "prod_shop.web"
    long = [label_value("n" * 63, "s" * 46 + end) for end in "ab"] + [label_value("a-" * 20 + "b", "s" * 47)]
    assert len(set(long)) == 3
    for value in long:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,61}[A-Za-z0-9]", value)
        assert "__" in value, "a short one could be the same"
