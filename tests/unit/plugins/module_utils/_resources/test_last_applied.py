# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an object keeps of what was last applied to it."""

from __future__ import annotations

import json

from ansible_collections.navarch.cluster.plugins.module_utils._resources import last_applied


def asked(kind, **more):
    return dict({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}}, **more)


def record(item):
    return json.loads(last_applied.recorded(item)["metadata"]["annotations"][last_applied.ANNOTATION])


def test_nothing_of_a_secret_is_recorded_but_its_keys():
    given = asked("Secret", type="Opaque", data={"a": "eA=="}, stringdata={"b": "x"}, more=[5, {"c": "x"}])
    assert record(given) == asked(
        "Secret", type="Opaque", data={"a": ""}, stringdata={"b": ""}, more=["", {"c": ""}]
    )


def test_a_record_holds_no_record():
    given = asked("ConfigMap", metadata={"name": "x", "annotations": {last_applied.ANNOTATION: "{}"}})
    assert record(given) == asked("ConfigMap")


def test_long_texts_of_large_objects_are_left_out_and_too_large_ones_are_not_recorded():
    large = asked("ConfigMap", data={"a": "x" * 300_000, "b": "y"})
    assert record(large) == asked("ConfigMap", data={"a": "", "b": "y"})
    many = asked("ConfigMap", data={"k%d" % n: "x" * 900 for n in range(300)})
    assert not last_applied.is_recorded(last_applied.recorded(many))
