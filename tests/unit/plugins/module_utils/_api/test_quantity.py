# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Quantities are equal when they stand for the same amount."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api.quantity import (
    parse_quantity,
    same_quantity,
)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("100m", "0.1"),
        ("100m", 0.1),
        ("1", 1),
        ("1Gi", "1024Mi"),
        ("1e3", "1k"),
        ("0.5Gi", "512Mi"),
        ("1E", "1000P"),
        ("2E2", "200"),
        (".5", "500m"),
        ("1.", "1"),
        ("-1", -1),
        ("1500000n", "1500u"),
        ("0.1n", "1n"),
        ("-1.5n", "-2n"),
        ("300m", 0.1 + 0.2),
        ("1.1", 1.1 * 3 / 3),
        ("12345678901234567890", 12345678901234567890),
    ],
)
def test_same_amount(left, right):
    assert same_quantity(left, right)


@pytest.mark.parametrize(("left", "right"), [("100m", "0.2"), ("1G", "1Gi"), ("1", "1k"), ("12zz", "12")])
def test_other_amount(left, right):
    assert not same_quantity(left, right)


@pytest.mark.parametrize(
    "value", ["12zz", "", "m", "1 Gi", "1gi", True, None, "0x10", "1e999999999", "1ee3", "--1", "1.2.3"]
)
def test_no_quantity_is_told_at_once(value):
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(value)
