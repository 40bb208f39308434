# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests as they are read, ordered and shown."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils import documents
from ansible_collections.navarch.cluster.plugins.module_utils.errors import OptionError

TEXT = """
apiVersion: v1
kind: Pod
metadata: {name: 7}
---
---
- apiVersion: v1
  kind: ServiceList
  items:
    - {apiVersion: v1, kind: Service, metadata: {name: s, annotations: {at: 2026-01-02, on: y, 2: x}}}
- apiVersion: v1
  kind: Namespace
  metadata: {name: n}
"""


def secret(**more):
    return dict({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, **more)


def test_all_ways_of_writing_objects():
    items = documents.from_definition([TEXT, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}])
    assert [(item["kind"], item["metadata"]["name"]) for item in items] == [
        ("Pod", "7"),
        ("Service", "s"),
        ("Namespace", "n"),
        ("Pod", "p"),
    ]
    assert items[1]["metadata"]["annotations"] == {"at": "2026-01-02", "true": "y", "2": "x"}


def test_what_others_need_comes_first_and_goes_last():
    kinds = ["Pod", "Service", "APIService", "Namespace", "Other", "Secret", "CustomResourceDefinition"]
    items = [{"kind": kind} for kind in kinds]
    order = [[item["kind"] for item in group] for group in documents.in_order(items)]
    assert order == [
        ["Namespace"],
        ["CustomResourceDefinition"],
        ["Secret"],
        ["Service"],
        ["Pod", "Other"],
        ["APIService"],
    ]
    assert documents.in_order(items, backwards=True) == list(reversed(documents.in_order(items)))


def test_the_same_object_twice_is_a_mistake():
    one = {"apiVersion": "apps/v1", "kind": "A", "metadata": {"name": "x"}}
    other = {"apiVersion": "apps/v2", "kind": "A", "metadata": {"name": "x", "namespace": "default"}}
    with pytest.raises(OptionError, match="comes twice"):
        documents.gather({"definition": [one, other], "namespace": "default"})
    elsewhere = dict(other, metadata={"name": "x", "namespace": "b"})
    assert len(documents.gather({"definition": [one, elsewhere], "namespace": "default"})) == 2


def test_plain_texts_of_a_secret_become_data():
    made = documents.encoded_secret(secret(data={"a": "eA=="}, stringData={"b": "y", "a": "z"}))
    assert made["data"] == {"a": "eg==", "b": "eQ=="}
    assert "stringData" not in made


def test_all_forms_of_a_secret_are_hidden():
    given = {"definition": [secret(data={"a": "d29yZA=="}, stringData={"b": "open"})]}
    assert documents.secret_values(given) >= {"word", "d29yZA==", "open", "b3Blbg=="}
    wrong = [{"kind": "Secret", "data": {"a": "no base64"}, "stringData": "a text"}, {"kind": "Other"}, 7]
    assert documents.secret_values({"definition": wrong}) >= {"no base64", "a text"}
    assert documents.secret_values({"definition": "a: ["}) == set()
    broken = "kind: Secret\ndata: {a: ["
    assert documents.secret_values({"definition": broken}) == {broken}
    before = documents.without_secrets(secret(data={"a": "1", "b": "1"}))
    assert before["data"] == {"a": "hidden", "b": "hidden"}
    after = documents.without_secrets(
        secret(data={"a": "1", "b": "2", "c": "3"}), secret(data={"a": "1", "b": "1"})
    )
    assert after["data"] == {"a": "hidden", "b": "hidden (other than before)", "c": "hidden"}


def test_folders_are_read_in_order(tmp_path):
    for name in ("b.yml", "a.json", "c.txt"):
        (tmp_path / name).write_text('{"apiVersion": "v1", "kind": "K", "metadata": {"name": "%s"}}' % name)
    found = documents.gather({"src": [str(tmp_path)]})
    assert [item["metadata"]["name"] for item in found] == ["a.json", "b.yml"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match=r"src: there is no file"):
        documents.gather({"src": [str(tmp_path / "empty")]})
