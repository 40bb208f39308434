# SPDX-License-Identifier: GPL-3.0-or-later
"""Selectors: what they match, how they read back, and how errors say where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navarch.api.machinery import selectors
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import LabelSelector, LabelSelectorRequirement

keys = st.sampled_from(["a", "b", "in", "notin", "x.io/y"])
values = st.sampled_from(["", "1", "2", "in", "z-z", "05"])


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("a=b", [{"a": "b"}], [{}, {"a": "c"}]),
        ("a==b", [{"a": "b"}], [{}]),
        ("a=", [{"a": ""}], [{}, {"a": "b"}]),
        ("a!=b", [{}, {"a": "c"}], [{"a": "b"}]),
        ("a in (x, y)", [{"a": "x"}, {"a": "y"}], [{}, {"a": "z"}]),
        ("a notin (x,y)", [{}, {"a": "z"}], [{"a": "x"}]),
        ("a", [{"a": ""}], [{}]),
        ("!a", [{}], [{"a": ""}]),
        ("a>5", [{"a": "6"}], [{}, {"a": "5"}, {"a": "x"}]),
        ("a<5", [{"a": "-1"}], [{}, {"a": "5"}]),
        ("a=b, !c , d in (e)", [{"a": "b", "d": "e"}], [{"a": "b", "d": "e", "c": ""}, {"a": "b"}]),
        ("in=notin", [{"in": "notin"}], [{}]),
        ("", [{}, {"a": "b"}], []),
    ],
)
def test_labels(text, yes, no):
    selector = selectors.parse_labels(text)
    for labels in yes:
        assert selector.matches(labels)
    for labels in no:
        assert not selector.matches(labels)
    assert selectors.parse_labels(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("a b", 3),
        ("=b", 1),
        (",", 1),
        ("a,", 3),
        ("a in x", 6),
        ("a in (x", 8),
        ("!", 2),
        ("a>b", 3),
        ("a=b=c", 4),
        ("-a", 1),
    ],
)
def test_errors_name_the_position(text, at):
    with pytest.raises(StatusError, match=f"at position {at}$") as told:
        selectors.parse_labels(text)
    assert told.value.code == 400


@given(st.text(max_size=30))
def test_any_text_is_a_selector_or_a_400(text):
    for parse in (selectors.parse_labels, selectors.parse_fields):
        try:
            parse(text)
        except StatusError as e:
            assert e.code == 400


@given(
    st.lists(
        st.tuples(
            keys,
            st.sampled_from(["=", "!=", "in", "notin", "exists", "!"]),
            st.sets(values, min_size=1, max_size=3),
        )
    )
)
def test_canonical_text_means_the_same(terms):
    made = selectors.Selector(
        [
            selectors.Requirement(
                k,
                op,
                () if op in ("exists", "!") else tuple(sorted(v)) if op in ("in", "notin") else (min(v),),
            )
            for k, op, v in terms
        ]
    )
    assert selectors.parse_labels(str(made)) == made


def test_structs_and_maps():
    assert not selectors.from_struct(None).matches({})
    assert selectors.from_struct(LabelSelector()).matches({})
    made = selectors.from_struct(
        LabelSelector(
            match_labels={"a": "b"},
            match_expressions=[
                LabelSelectorRequirement(key="c", operator="In", values=["2", "1"]),
                LabelSelectorRequirement(key="d", operator="DoesNotExist"),
            ],
        )
    )
    assert str(made) == "a=b,c in (1,2),!d"
    assert made.exact() == {"a": "b"}
    assert not selectors.from_map({}).matches({})
    assert selectors.from_map({"a": "b"}).matches({"a": "b", "c": "d"})
    for bad in (
        LabelSelectorRequirement(key="a", operator="Is"),
        LabelSelectorRequirement(key="a", operator="In"),
        LabelSelectorRequirement(key="a", operator="Exists", values=["b"]),
    ):
        with pytest.raises(StatusError):
            selectors.from_struct(LabelSelector(match_expressions=[bad]))


def test_fields():
    selector = selectors.parse_fields(r"metadata.name=x,spec.nodeName!=,a=b\,c\=d")
    assert selector.exact() == {"metadata.name": "x", "a": "b,c=d"}
    assert selector.matches({"metadata.name": "x", "spec.nodeName": "n", "a": "b,c=d"})
    assert not selector.matches({"metadata.name": "x", "a": "b,c=d"})
    assert selectors.parse_fields(str(selector)) == selector
    with pytest.raises(StatusError, match="field label not supported: a"):
        selector.require({"metadata.name", "spec.nodeName"})
    for bad in ("a", "=b", "a=b=c", "a=b\\"):
        with pytest.raises(StatusError, match="position"):
            selectors.parse_fields(bad)
