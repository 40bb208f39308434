# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects as they are sent."""

from __future__ import annotations

from ansible_collections.navarch.cluster.plugins.module_utils._resources import present


def test_a_new_secret_has_no_keys_that_are_to_go():
    given = {"kind": "Secret", "data": {"a": "eA==", "b": None}}
    assert present.without_nulls(given) == {"kind": "Secret", "data": {"a": "eA=="}}
    assert present.without_nulls({"kind": "Secret", "data": None}) == {"kind": "Secret"}
