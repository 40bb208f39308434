# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantities: exact amounts, one way to write each, and the same amounts as the official client reads."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from navarch.api.machinery import quantity

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]

texts = st.builds(
    lambda sign, whole, part, suffix: f"{sign}{whole}{part}{suffix}",
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 10**6),
    st.one_of(st.just(""), st.integers(0, 999).map(lambda n: f".{n}")),
    st.sampled_from([*SUFFIXES, "e3", "E-3", "e0", "e+2"]),
)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000", "1k"),
        ("1023", "1023"),
        ("0.5Ki", "512"),
        ("1Ki", "1Ki"),
        ("1500m", "1500m"),
        ("12e6", "12e6"),
        ("1e2", "100"),
        ("0Gi", "0"),
        ("-100m", "-100m"),
        ("0.1n", "1n"),
        ("1E", "1E"),
        ("8Ei", "9223372036854775807"),
        (2, "2"),
        (0.5, "500m"),
    ],
)
def test_canonical_form_is_that_of_the_reference(sent, kept):
    assert quantity.canonical(sent) == kept


@pytest.mark.parametrize(
    "bad", ["12zz", "", ".", "1e", "Ki", "1 ", "1\n", "1ki", "1kk", "e3", "nan", "0x10", "1_0", True]
)
def test_what_is_no_quantity_is_refused_in_one_line(bad):
    with pytest.raises(ValueError, match="is not a quantity") as told:
        quantity.canonical(bad)
    assert "\n" not in str(told.value)


def test_hostile_sizes_are_bounded():
    assert quantity.canonical("1e999999999") == str(quantity.MAX)
    assert quantity.value("1e-999999999") == 1
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.parse("1" * 1000)


@given(texts)
def test_canonical_keeps_the_amount_and_is_stable(text):
    kept = quantity.canonical(text)
    assert quantity.parse(kept) == quantity.parse(text)
    assert quantity.canonical(kept) == kept


@given(texts)
def test_amounts_agree_with_the_official_client(text):
    ours, theirs = quantity.parse(text), Fraction(parse_quantity(text))
    if (theirs * 10**9).denominator == 1 and abs(theirs) <= quantity.MAX:
        assert ours == theirs
    elif abs(theirs) <= quantity.MAX:
        assert 0 <= abs(ours) - abs(theirs) < Fraction(1, 10**9)


@given(texts, texts)
def test_order_and_rounding(a, b):
    assert quantity.compare(a, b) == -quantity.compare(b, a)
    exact = quantity.parse(a)
    for got, unit in ((quantity.value(a), exact), (quantity.milli(a), exact * 1000)):
        assert 0 <= abs(got) - abs(unit) < 1
