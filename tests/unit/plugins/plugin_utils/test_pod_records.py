# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the inventory of pods asks, and under what the answer is kept."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.inventory.pods import InventoryModule
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.plugin_utils import pod_records

ASKED = {
    "namespaces": [],
    "label_selectors": [],
    "field_selectors": [],
    "phases": ["Running"],
    "containers": "default",
    "group_by": [],
    "hostnames": ["pod_name"],
    "host": "https://one",
    "api_key": "t-1",
}


def test_another_question_has_another_key():
    base = pod_records.key(ASKED)
    assert base == pod_records.key(dict(ASKED, hostvars_prefix="x_"))
    others = [
        {"namespaces": ["a"]},
        {"label_selectors": ["a"]},
        {"field_selectors": ["a"]},
        {"phases": []},
        {"containers": "all"},
        {"host": "https://two"},
        {"api_key": "t-2"},
    ]
    assert len({base, *(pod_records.key(dict(ASKED, **other)) for other in others)}) == len(others) + 1


def test_there_is_no_other_phase():
    pod_records.check(ASKED)
    pod_records.check(dict(ASKED, phases=[]))
    with pytest.raises(OptionError, match=r"phases: must be of Pending, Running, .*, not 'running'"):
        pod_records.check(dict(ASKED, phases=["Failed", "running"]))


def test_the_cache_answers_what_was_asked_before_and_nothing_else(monkeypatch):
    asked = []
    monkeypatch.setattr(pod_records, "records", lambda options: asked.append(options["namespaces"]) or [])
    plugin = InventoryModule()
    plugin._cache = {"k": ["as it was kept by an older release"]}
    monkeypatch.setattr(plugin, "get_option", {"cache": True}.get)
    for namespaces in (["a"], ["a"], ["b"]):
        assert plugin._records(dict(ASKED, namespaces=namespaces), "k", True) == []
    assert asked == [["a"], ["b"]]
    plugin._records(dict(ASKED, namespaces=["b"]), "k", False)
    assert len(asked) == 3, "it was to be read anew"
    assert "t-1" not in str(plugin._cache)
