# SPDX-License-Identifier: GPL-3.0-or-later
"""Field sets behave as sets of paths, whatever their shape, and documents fall into the paths they should."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from navarch.api.core.pod.pod import Pod
from navarch.api.machinery import apply, fieldset, shapes
from navarch.api.machinery.fieldset import Tree

SHAPE = shapes.shape(Pod)
ELEMENTS = ("f:a", "f:b", 'k:{"name":"x"}', 'v:"y"')

members = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3).map(tuple)
sets = st.frozensets(members, max_size=6)


def tree(paths: frozenset[tuple[str, ...]]) -> Tree:
    made: Tree = {}
    for path in paths:
        node = made
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return made


@given(sets, sets)
def test_the_algebra_is_that_of_sets(a: Any, b: Any) -> None:
    assert fieldset.union(tree(a), tree(b)) == tree(a | b)
    assert fieldset.difference(tree(a), tree(b)) == tree(a - b)
    assert fieldset.intersection(tree(a), tree(b)) == tree(a & b)
    assert fieldset.from_wire(fieldset.to_wire(tree(a))) == tree(a)
    assert len(list(fieldset.paths(tree(a)))) == len(a)


names = st.sampled_from(["web", "side", "log"])
containers = st.lists(
    st.fixed_dictionaries(
        {"name": names},
        optional={
            "image": st.sampled_from(["a", "b"]),
            "args": st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2),
            "ports": st.lists(
                st.fixed_dictionaries(
                    {"containerPort": st.integers(1, 3)},
                    optional={"protocol": st.sampled_from(["TCP", "UDP"])},
                ),
                unique_by=lambda port: (port["containerPort"], port.get("protocol", "TCP")),
            ),
        },
    ),
    unique_by=lambda container: container["name"],
)
pods = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries(
            {}, optional={"labels": st.dictionaries(names, names), "finalizers": st.lists(names, unique=True)}
        ),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "containers": containers,
                "nodeSelector": st.dictionaries(names, names),
                "hostname": names,
            },
        ),
    },
)


@given(pods, pods)
def test_what_is_applied_is_there_and_the_rest_stays(live: Any, applied: Any) -> None:
    made = apply.merged(SHAPE, live, applied)
    changed, gone = fieldset.compare(SHAPE, live, made)
    mine = fieldset.of_document(SHAPE, applied)
    # Nothing that was not applied is changed, and applying again changes nothing.
    assert fieldset.difference(changed, mine) == {}
    assert apply.merged(SHAPE, made, applied) == made
    assert gone == {}


@given(pods)
def test_taking_away_all_that_is_owned_leaves_nothing_owned(document: Any) -> None:
    owned = fieldset.of_document(SHAPE, document)
    left = apply.without(SHAPE, document, fieldset.with_ancestors(owned))
    assert fieldset.of_document(SHAPE, left) == {}


def test_maps_and_lists_that_are_one_value() -> None:
    document = {
        "spec": {
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "a"}],
            "containers": [{"name": "c", "ports": [{"containerPort": 80}], "args": ["x"]}],
            "imagePullSecrets": [{"name": "s"}],
        }
    }
    assert list(fieldset.paths(fieldset.of_document(SHAPE, document))) == [
        ".spec.nodeSelector",
        ".spec.tolerations",
        '.spec.containers[name="c"]',
        '.spec.containers[name="c"].name',
        '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"]',
        '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"].containerPort',
        '.spec.containers[name="c"].args',
        '.spec.imagePullSecrets[name="s"]',
    ]
