# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: what each rule takes and refuses."""

from __future__ import annotations

import pytest

from navarch.api.machinery import names


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (names.label, ["a", "a-1", "1a", "x" * 63], ["", "A", "-a", "a-", "a.b", "x" * 64, "a\n", "é"]),
        (
            names.subdomain,
            ["a", "a.b-c.1", "x" * 253],
            ["", "a..b", ".a", "a.", "A.b", "a_b", "x" * 254, "a\n"],
        ),
        (names.label1035, ["a", "a-1"], ["1a", "", "a-", "a.b", "x" * 64]),
        (
            names.qualified,
            ["a", "A.b_c-d", "example.com/A", "x" * 63],
            ["", "/a", "a/", "a/b/c", "Ex.com/a", "-a", "a-", "x" * 64, "a b"],
        ),
        (names.label_value, ["", "a", "A_b.c-1", "x" * 63], ["-a", "a b", "a/b", "x" * 64, "a\n"]),
        (names.port_name, ["http", "a1-b"], ["", "80", "-a", "a-", "a--b", "A", "x" * 16]),
        (names.env_name, ["PATH", "a.b-c", "1x", "with space"], ["", "a=b", "a\n", "é"]),
        (names.data_key, ["a", "A_b.c-1", ".hidden"], ["", ".", "..", "..a", "a/b", "x" * 254]),
    ],
)
def test_rules(rule, good, bad):
    for text in good:
        assert rule(text) is None, text
    for text in bad:
        told = rule(text)
        assert told, text
        assert "\n" not in told
