# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies: what is wrong is a 400 that names the field; nulls mean absent; YAML means what its JSON means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navarch.api.core.configmap import CONFIG_MAP
from navarch.api.core.pod.pod import POD
from navarch.api.machinery import decode, strict
from navarch.api.machinery.errors import StatusError


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"a":1,}', r"not valid JSON: trailing comma in object \(byte 7\)"),
        (b"[1]", "body: expected object, got array"),
        (b"null", "expected object, got null"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"metadata":{"labels":{"a":1}}}', "metadata.labels.a: expected string, got integer"),
        (
            b'{"spec":{"containers":[{},{"image":5}]}}',
            r"spec.containers\[1\].image: expected string, got integer",
        ),
        (b'{"spec":{"containers":{}}}', "spec.containers: expected array, got object"),
        (b'{"spec":{"hostNetwork":"yes"}}', "spec.hostNetwork: expected boolean, got string"),
        (
            b'{"spec":{"containers":[{"ports":[{"containerPort":9999999999}]}]}}',
            r"containerPort: 9999999999 is out of range of int32",
        ),
        (b'{"spec":{"terminationGracePeriodSeconds":99999999999999999999}}', "out of range of int64"),
        (b'{"kind":"Foo"}', 'Foo in version "v1" cannot be handled as a Pod'),
        (
            b'{"apiVersion":"v2"}',
            r"API version in the data \(v2\) does not match the expected API version \(v1\)",
        ),
    ],
)
def test_bad_bodies(body, told):
    with pytest.raises(StatusError, match=told) as e:
        decode.decode(POD, body)
    assert e.value.code == 400


def test_bad_base64_names_the_key():
    with pytest.raises(StatusError, match=r"binaryData.b: is not valid base64"):
        decode.decode(CONFIG_MAP, b'{"binaryData":{"a":"YQ==","b":"*"}}')


def test_folded_base64_is_taken():
    made = decode.decode(CONFIG_MAP, b'{"binaryData":{"a":"YW\\nFh\\r\\nYQ==\\n"}}')
    assert made.binary_data == {"a": b"aaaa"}


def test_null_means_absent():
    pod = decode.decode(
        POD, b'{"metadata":null,"spec":{"containers":[{"name":null,"image":"x"}],"nodeName":null}}'
    )
    assert pod.spec.containers[0].name == ""
    assert pod.spec.node_name is None
    assert (pod.kind, pod.api_version) == ("Pod", "v1")


def test_big_numbers_in_strings_are_nothing_special():
    pod = decode.decode(POD, b'{"metadata":{"name":"12345678901234567890","generation":12345678901}}')
    assert pod.metadata.generation == 12345678901


def test_media_types():
    body = b"metadata: {name: x, labels: {on: 'true', day: 2020-01-01, at: 1:30}}"
    pod = decode.decode(POD, body, "application/yaml; charset=utf-8")
    assert pod.metadata.labels == {"true": "true", "day": "2020-01-01", "at": "1:30"}
    with pytest.raises(StatusError) as e:
        decode.decode(POD, b"x", "text/plain")
    assert e.value.code == 415


@pytest.mark.parametrize(
    "body",
    [
        "a: &a [1]\nb: *a",
        "a: b: c",
        "? [a]\n: 1",
        "a: 1\na: 2",
        "!!python/object:os.system {}",
        "\x00",
        "a: !!timestamp 1",
    ],
)
def test_bad_yaml(body):
    with pytest.raises(StatusError, match="not valid YAML") as e:
        decode.decode(POD, body.encode(), decode.YAML)
    assert e.value.code == 400
    assert "\n" not in e.value.message


@given(st.binary(max_size=200), st.sampled_from([decode.JSON, decode.YAML, decode.PROTOBUF]))
def test_any_bytes_are_an_object_or_a_400(body, media):
    try:
        decode.decode(POD, body, media)
    except StatusError as e:
        assert e.code == 400


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metadata", "spec", "containers", "name", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(documents)
def test_any_document_is_an_object_or_a_400_and_strict_never_fails(document):
    body = json.dumps(document).encode()
    strict.problems(POD, body)
    try:
        decode.decode(POD, body)
    except StatusError as e:
        assert e.code == 400


def test_strict_tells_all_unknown_and_duplicate_fields():
    body = (
        b'{"foo":{"bar":1},"metadata":{"name":"x","name":"y","labels":{"a":"b","a":"c"}},'
        b'"spec":{"containers":[{"x":1,"env":[{"name":"A"},{"nom":"B"}]}],"nodeSelector":{"any":"thing"}}}'
    )
    assert strict.problems(POD, body) == [
        'unknown field "foo"',
        'unknown field "spec.containers[0].x"',
        'unknown field "spec.containers[0].env[1].nom"',
        'duplicate field "metadata.name"',
        'duplicate field "metadata.labels.a"',
    ]
    with pytest.raises(StatusError, match='strict decoding error: unknown field "foo", '):
        raise strict.refusal(POD, strict.problems(POD, body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata":{"annotations":{"json":"{\\"a\\":1,\\"a\\":2}"}}}',
        b'{"metadata" : {"name" :"x"}}',
        b'{"metadata":{"annotations":{"a\\":":"b"}}}',
        b'{\n  "metadata": {\n    "name": "x"\n  }\n}',
    ],
)
def test_strict_is_not_fooled_by_the_writing(body):
    assert strict.problems(POD, body) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata":{"name" :"x","name":"y"}}',
        b'{"metadata":{"name":"x","na\\u006de":"y"}}',
        b'{"metadata":{"name":"x","name":"y","annotations":{"a":"\\u0022:"}}}',
        b'{"metadata":{"name":"x","name":"y","annotations":{"a":"\\"\\u003a"}}}',
    ],
)
def test_strict_finds_duplicates_however_written(body):
    assert strict.problems(POD, body) == ['duplicate field "metadata.name"']


bodies = st.recursive(
    st.sampled_from(["1", '"x"', "null", '"\\":"', '"\\u0022:"', '"a :"', "[]"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda v: "[" + ",".join(v) + "]")
        | st.lists(
            st.tuples(
                st.sampled_from(
                    ["metadata", "spec", "containers", "labels", "name", "x", '\\"', "na\\u006de"]
                ),
                st.sampled_from([":", " :", ":\n"]),
                inner,
            ),
            max_size=4,
        ).map(lambda v: "{" + ",".join(f'"{k}"{colon}{value}' for k, colon, value in v) + "}")
    ),
    max_leaves=15,
).map(str.encode)


@given(bodies)
def test_strict_by_the_quick_way_and_the_slow_way_agree(body):
    slow = [f'unknown field "{p}"' for p in strict.unknown_fields(POD.type, json.loads(body))]
    slow += [f'duplicate field "{p}"' for p in strict.duplicate_fields(body)]
    assert strict.problems(POD, body) == slow
