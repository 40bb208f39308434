# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests as they are read, ordered and shown."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._resources import (
    manifest_loading,
    manifest_validation,
    redaction,
)

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
    items = manifest_loading.from_definition(
        [TEXT, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}]
    )
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
    order = [[item["kind"] for item in group] for group in manifest_loading.in_order(items)]
    assert order == [
        ["Namespace"],
        ["CustomResourceDefinition"],
        ["Secret"],
        ["Service"],
        ["Pod", "Other"],
        ["APIService"],
    ]
    assert manifest_loading.in_order(items, backwards=True) == list(
        reversed(manifest_loading.in_order(items))
    )


def test_the_same_object_twice_is_a_mistake():
    one = {"apiVersion": "apps/v1", "kind": "A", "metadata": {"name": "x"}}
    other = {"apiVersion": "apps/v2", "kind": "A", "metadata": {"name": "x", "namespace": "default"}}
    with pytest.raises(OptionError, match="comes twice"):
        manifest_loading.gather({"definition": [one, other], "namespace": "default"})
    elsewhere = dict(other, metadata={"name": "x", "namespace": "b"})
    assert len(manifest_loading.gather({"definition": [one, elsewhere], "namespace": "default"})) == 2


def test_plain_texts_of_a_secret_become_data():
    made = manifest_validation.encoded_secret(secret(data={"a": "eA=="}, stringData={"b": "y", "a": "z"}))
    assert made["data"] == {"a": "eg==", "b": "eQ=="}
    assert "stringData" not in made


def test_all_forms_of_a_secret_are_hidden():
    given = {"definition": [secret(data={"a": "d29yZA=="}, stringData={"b": "open"})]}
    assert redaction.secret_values(given) >= {"word", "d29yZA==", "open", "b3Blbg=="}
    wrong = [{"kind": "Secret", "data": {"a": "no base64"}, "stringData": "a text"}, {"kind": "Other"}, 7]
    assert redaction.secret_values({"definition": wrong}) >= {"no base64", "a text"}
    assert redaction.secret_values({"definition": "a: ["}) == set()
    broken = "kind: Secret\ndata: {a: ["
    assert redaction.secret_values({"definition": broken}) == {broken}
    before = redaction.without_secrets(secret(data={"a": "1", "b": "1"}))
    assert before["data"] == {"a": "hidden", "b": "hidden"}
    after = redaction.without_secrets(
        secret(data={"a": "1", "b": "2", "c": "3"}), secret(data={"a": "1", "b": "1"})
    )
    assert after["data"] == {"a": "hidden", "b": "hidden (other than before)", "c": "hidden"}


def test_a_definition_is_shown_without_texts_and_without_what_secrets_hold():
    shown = redaction.shown_definition
    assert shown("kind: Secret\nstringData: {a: 'it''s x'}\n") == "a text of 2 lines"
    given = secret(type="Opaque", immutable=True, stringData={"a": "x"}, data="x", more=[{"a": "x"}])
    given["metadata"]["annotations"] = {redaction.ANNOTATION: "x"}
    assert shown([given]) == [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "annotations": {redaction.ANNOTATION: "hidden"}},
            "type": "Opaque",
            "immutable": True,
            "stringData": {"a": "hidden"},
            "data": "hidden",
            "more": "hidden",
        }
    ]
    for kind in ("secret", "SECRETS", "Deployment"):
        assert shown({"kind": kind, "stringdata": {"a": "x"}}) == {
            "kind": kind,
            "stringdata": {"a": "hidden"},
        }
    assert shown({"kind": "SecretList", "items": [{"data": {"a": "x"}}]})["items"] == [
        {"kind": "Secret", "data": {"a": "hidden"}}
    ]
    other = {"kind": "ConfigMap", "items": 5, "data": {"a": "x"}}
    assert shown(other) == other


def test_names_are_told_though_a_secret_holds_the_same():
    given = secret(stringData={"user": "postgres", "password": "hush"})
    server = "kind: Pod\nmetadata: {name: postgres-0}\n"
    found = redaction.secret_values({"definition": [given, server]})
    assert "hush" in found
    assert "postgres" not in found


HEAD = "apiVersion: v1\nkind: %s\nmetadata: {name: x%s}\n"


@pytest.mark.parametrize(
    ("kind", "metadata", "rest", "said"),
    [
        ("Secret", "", "stringData: {a: true}", "stringData.a must be text, not a boolean (quote it)"),
        ("Secret", "", "stringData: {a: 567}", "stringData.a must be text, not a number (quote it)"),
        ("Secret", "", "stringData: {a: {b: hush}}", "stringData.a must be text, not a mapping"),
        ("Secret", "", "stringData: hush", "stringData must be a mapping, not text"),
        ("Secret", "", "data: 567", "data must be a mapping, not a number"),
        ("Secret", "", "{data: hush, stringData: {a: b}}", "data must be a mapping, not text"),
        ("Secret", "", "data: {a: [hush]}", "data.a must be text, not a list"),
        ("Pod", "namespace: 567", "", "metadata.namespace must be text, not a number (quote it)"),
        ("Pod", "namespace: [hush]", "", "metadata.namespace must be text, not a list"),
        ("Pod", "labels: hush", "", "metadata.labels must be a mapping, not text"),
        ("Pod", "annotations: [hush]", "", "metadata.annotations must be a mapping, not a list"),
        ("CustomResourceDefinition", "", "spec: hush", "spec must be a mapping, not text"),
        ("CustomResourceDefinition", "", "spec: {names: 1}", "spec.names must be a mapping, not a number"),
        ("ConfigMap", "", "data: {a: !!binary aHVzaA==}", "data.a is binary data, which no object can hold"),
        ("ConfigMap", "", "data: {a: [.nan]}", "data.a[0] is a number, which no object can hold"),
        ("ConfigMap", "", "data: !!set {hush}", "data is a set, which no object can hold"),
        ("ConfigMap", "", "data: &x {a: *x}", "data.a is nested too deeply, or refers to what it is in"),
    ],
)
def test_what_has_the_wrong_shape_is_named_and_not_told(kind, metadata, rest, said):
    text = HEAD % (kind, metadata and ", " + metadata)
    text = text + rest if not rest.startswith("{") else text + rest[1:-1].replace(", s", "\ns")
    redaction.secret_values({"definition": text})
    with pytest.raises(OptionError) as refused:
        manifest_loading.from_definition("---\n" + text)
    assert str(refused.value) == "definition, document 1: %s x: %s" % (kind, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: hush\n", "definition: not YAML at line 3: the key a comes twice"),
        ('{"a": 1,\n"a": 2}', "definition: not YAML at line 2: the key a comes twice"),
        ("a: !!int hush", "definition: not YAML: a value is not what its tag says"),
        ("a: \udce9", "definition: not text in UTF-8: line 1"),
        ("a: \x07", "definition: not YAML: control characters are not allowed"),
        ("- hush", "definition, document 1: not an object of the API but text"),
    ],
)
def test_a_text_that_is_no_manifest_is_not_told(text, said):
    with pytest.raises(OptionError) as refused:
        manifest_loading.from_definition(text)
    assert str(refused.value) == said


def test_merge_keys_are_no_keys_twice():
    text = "base: &b {k: {x: 1, y: 2}}\nmetadata: {name: x, labels: {<<: *b, k: 3}, name2: {<<: *b}}\n"
    (made,) = manifest_loading.from_definition(text + "apiVersion: v1\nkind: K\n")
    assert made["metadata"]["labels"] == {"k": 3}
    assert made["metadata"]["name2"] == {"k": {"x": 1, "y": 2}}


def test_times_are_text_binary_data_is_base64_and_nothing_is_no_text():
    (made,) = manifest_loading.from_definition(
        HEAD % ("Secret", ", annotations: {at: 2020-01-01 10:00:00, on: 2020-13-45}")
        + "data: {a: !!binary aGk=, z: null}\nstringData: {b: !!binary aGk=, c: null}\n"
    )
    assert made["metadata"]["annotations"] == {"at": "2020-01-01 10:00:00", "true": "2020-13-45"}
    assert made["data"] == {"a": "aGk=", "z": None, "b": "aGk=", "c": None}
    (made,) = manifest_loading.from_definition(HEAD % ("ConfigMap", "") + "binaryData: {a: !!binary aGk=}")
    assert made["binaryData"] == {"a": "aGk="}


def test_folders_are_read_in_order(tmp_path):
    for name in ("b.yml", "a.json", "c.txt"):
        (tmp_path / name).write_text('{"apiVersion": "v1", "kind": "K", "metadata": {"name": "%s"}}' % name)
    found = manifest_loading.gather({"src": [str(tmp_path)]})
    assert [item["metadata"]["name"] for item in found] == ["a.json", "b.yml"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match=r"src: there is no file"):
        manifest_loading.gather({"src": [str(tmp_path / "empty")]})
