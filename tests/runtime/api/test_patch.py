# SPDX-License-Identifier: GPL-3.0-or-later
"""Patches: RFC 7386's own table, JSON patch's errors, and the rules of strategic merge."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navarch.api.core.pod.pod import Pod
from navarch.api.core.service.service import Service
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.patch import apply, json_patch, merge_patch, strategic_merge_patch

documents = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(st.sampled_from("abc"), documents, max_size=3)


# The table of RFC 7386, appendix A.
@pytest.mark.parametrize(
    ("document", "patch", "made"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_table(document, patch, made):
    assert merge_patch(document, patch) == made


def _nulls(value):
    if isinstance(value, dict):
        return any(v is None or _nulls(v) for v in value.values())
    return False


@given(objects, objects)
def test_merge_patch_properties(document, patch):
    before = copy.deepcopy(document)
    once = merge_patch(document, patch)
    assert document == before
    assert merge_patch(once, patch) == once
    assert merge_patch(document, {}) == document
    if not _nulls(patch):
        assert merge_patch({}, patch) == patch


def test_json_patch():
    document = {"a": [1, 2], "b": {"c": "d"}}
    made = json_patch(
        document, [{"op": "add", "path": "/a/-", "value": 3}, {"op": "copy", "from": "/b", "path": "/e"}]
    )
    assert made == {"a": [1, 2, 3], "b": {"c": "d"}, "e": {"c": "d"}}
    assert document == {"a": [1, 2], "b": {"c": "d"}}


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ({}, 400),
        ([1], 400),
        ([{"op": "foo", "path": "/a"}], 400),
        ([{"op": "add"}], 400),
        ([{"op": "add", "path": 5, "value": 1}], 400),
        ([{"op": "test", "path": "/a", "value": 1}], 422),
        ([{"op": "remove", "path": "/zz"}], 422),
        ([{"op": "replace", "path": "/zz", "value": 1}], 422),
        ([{"op": "add", "path": "/a/b/x", "value": 1}], 422),
        ([{"op": "copy", "from": 5, "path": "/x"}], 422),
        (
            [{"op": "copy", "from": "", "path": "/a/b/-"}] * 40,
            422,
        ),
        ([{"op": "add", "path": "/a/b/-", "value": 1}] * 10_001, 413),
    ],
)
def test_json_patch_errors(operations, code):
    with pytest.raises(StatusError) as e:
        json_patch({"a": {"b": [1]}, "c": {}}, operations)
    assert e.value.code == code


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "test", "path": "/a/b", "value": 1}, "operation 0 (test /a/b): the tested value"),
        ({"op": "replace", "path": "/a/x/y", "value": 1}, "operation 0 (replace /a/x/y): no such place"),
        ({"op": "remove", "path": "/zz"}, "operation 0 (remove /zz): no such place"),
        ({"op": "move", "from": "/a/x", "path": "/y"}, "operation 0 (move /a/x /y): no such place"),
        ({"op": "add", "path": "/a/b/c", "value": 1}, "operation 0 (add /a/b/c): no such place"),
    ],
)
def test_a_json_patch_that_does_not_fit_tells_nothing_of_the_object(operation, message):
    with pytest.raises(StatusError) as e:
        json_patch({"a": {"b": "hidden"}}, [operation])
    assert message in e.value.message
    assert "hidden" not in e.value.message
    assert "class" not in e.value.message


@given(
    documents,
    st.lists(
        st.dictionaries(
            st.sampled_from(["op", "path", "from", "value"]),
            documents
            | st.sampled_from(["add", "remove", "move", "copy", "test", "replace", "/a", "/a/0", "/b/c", ""]),
            max_size=4,
        ),
        max_size=3,
    ),
)
def test_json_patch_never_fails_otherwise(document, operations):
    try:
        json_patch(document, operations)
    except StatusError as e:
        assert e.code in (400, 422)


POD = {
    "metadata": {"name": "x", "labels": {"a": "b", "c": "d"}, "finalizers": ["a", "b"]},
    "spec": {
        "containers": [
            {
                "name": "a",
                "image": "1",
                "ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}],
            },
            {"name": "b", "image": "2", "args": ["1", "2"], "env": [{"name": "A", "value": "1"}]},
        ],
        "tolerations": [{"key": "x"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "nodeSelector": {"a": "b"},
    },
}


def smp(patch):
    before = copy.deepcopy(POD)
    made = strategic_merge_patch(Pod, POD, patch)
    assert before == POD
    return made


def test_lists_merge_by_key_and_others_are_replaced():
    made = smp({"spec": {"containers": [{"name": "b", "image": "3", "args": ["9"]}, {"name": "c"}]}})["spec"]
    assert [c["name"] for c in made["containers"]] == ["a", "b", "c"]
    assert made["containers"][1] == {
        "name": "b",
        "image": "3",
        "args": ["9"],
        "env": [{"name": "A", "value": "1"}],
    }
    assert smp({"spec": {"tolerations": [{"key": "y"}]}})["spec"]["tolerations"] == [{"key": "y"}]


def test_maps_merge_and_null_deletes():
    made = smp(
        {"metadata": {"labels": {"a": None, "e": "f"}}, "spec": {"nodeSelector": None, "missing": None}}
    )
    assert made["metadata"]["labels"] == {"c": "d", "e": "f"}
    assert "nodeSelector" not in made["spec"]
    assert "missing" not in made["spec"]


def test_nulls_and_directives_do_not_get_into_what_is_new():
    new = {
        "name": "n",
        "image": None,
        "env": [{"name": "q", "value": None}],
        "resources": {"$patch": "merge", "limits": None},
    }
    made = smp({"spec": {"containers": [new]}})
    assert made["spec"]["containers"][2] == {"name": "n", "env": [{"name": "q"}], "resources": {}}


def test_delete_replace_and_order_directives():
    made = smp(
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
                "containers": [{"name": "b", "$patch": "delete"}, {"name": "c", "image": "n"}],
            }
        }
    )
    assert [c["name"] for c in made["spec"]["containers"]] == ["c", "a"]
    assert smp({"spec": {"$patch": "replace", "nodeName": "n"}})["spec"] == {"nodeName": "n"}
    assert smp({"spec": {"nodeSelector": {"$patch": "delete"}}})["spec"]["nodeSelector"] == {}
    made = smp({"spec": {"containers": [{"$patch": "replace"}, {"name": "z"}]}})
    assert made["spec"]["containers"] == [{"name": "z"}]


def test_elements_the_patch_does_not_name_keep_their_places():
    order = [{"name": "b"}, {"name": "n"}]
    made = smp({"spec": {"$setElementOrder/containers": order, "containers": [{"name": "n"}]}})
    assert [c["name"] for c in made["spec"]["containers"]] == ["a", "b", "n"]


def test_sets_of_primitives():
    made = smp({"metadata": {"finalizers": ["b", "z", "z"]}})
    assert made["metadata"]["finalizers"] == ["a", "b", "z"]
    made = smp({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})
    assert made["metadata"]["finalizers"] == ["b"]


def test_retain_keys():
    volume = {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}
    assert smp({"spec": {"volumes": [volume]}})["spec"]["volumes"] == [
        {"name": "v", "hostPath": {"path": "/x"}}
    ]


def test_ports_with_the_same_number_are_told_apart():
    port = {"containerPort": 53, "protocol": "UDP", "name": "dns"}
    made = smp({"spec": {"containers": [{"name": "a", "ports": [port]}]}})
    assert made["spec"]["containers"][0]["ports"] == [{"containerPort": 53, "protocol": "TCP"}, port]
    service = {"spec": {"ports": [{"port": 80, "name": "web"}, {"port": 81}]}}
    made = strategic_merge_patch(
        Service,
        service,
        {"spec": {"ports": [{"port": 81, "$patch": "delete"}, {"port": 80, "targetPort": 1}]}},
    )
    assert made["spec"]["ports"] == [{"port": 80, "name": "web", "targetPort": 1}]


@pytest.mark.parametrize(
    ("patch", "code", "told"),
    [
        ([], 400, "is an object"),
        ({"spec": {"$patch": "foo"}}, 400, "spec: unknown patch type 'foo'"),
        ({"spec": {"containers": [{"image": "a"}]}}, 422, "does not contain the declared merge key: name"),
        ({"spec": {"containers": [5]}}, 400, r"spec.containers\[0\]: expected object"),
        ({"spec": {"$setElementOrder/containers": 5}}, 400, "wants a list"),
    ],
)
def test_strategic_errors(patch, code, told):
    with pytest.raises(StatusError, match=told) as e:
        smp(patch)
    assert e.value.code == code


values = st.dictionaries(st.sampled_from(["image", "workingDir"]), st.text("ab", max_size=2), max_size=2)
containers = st.dictionaries(st.sampled_from("abcd"), values, max_size=4).map(
    lambda d: [{"name": k, **v} for k, v in d.items()]
)


@given(containers, containers)
def test_strategic_merge_is_idempotent_and_keeps_every_name_once(old, new):
    document, patch = {"spec": {"containers": old}}, {"spec": {"containers": new}}
    once = strategic_merge_patch(Pod, document, patch)
    assert strategic_merge_patch(Pod, once, patch) == once
    made = {c["name"]: c for c in once["spec"]["containers"]}
    assert len(made) == len(once["spec"]["containers"])
    assert set(made) == {c["name"] for c in old + new}
    for container in new:
        assert container.items() <= made[container["name"]].items()


@given(documents)
def test_strategic_never_fails_otherwise(patch):
    for type_ in ("merge", "json", "strategic"):
        try:
            apply(
                Pod,
                POD,
                {"spec": {"containers": patch}, "metadata": patch} if type_ != "json" else patch,
                type_,
            )
        except StatusError as e:
            assert e.code in (400, 422)


def test_absurd_nesting_is_a_400():
    patch = {}
    for _ in range(5000):
        patch = {"a": patch}
    for type_ in ("merge", "strategic"):
        with pytest.raises(StatusError, match="nested too deeply"):
            apply(Pod, POD, patch, type_)
