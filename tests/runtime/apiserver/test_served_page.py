# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of what is served says what the API serves, kind by kind."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def served() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "served.py"))


def test_the_table_is_what_discovery_says(served: dict[str, Any]) -> None:
    written = served["PAGE"].read_text()
    found = served["rows"](served["discovered"]())
    assert any("`pods` with attach" in row for row in found)
    assert served["page"](written, found) == written, "tools/served.py writes it anew"


def test_another_table_is_noticed_and_put_in_its_place(served: dict[str, Any]) -> None:
    written = served["PAGE"].read_text()
    lists = {
        "x/v1": {
            "resources": [
                {"name": "ships", "namespaced": True, "verbs": ["get"]},
                {"name": "ships/sail", "namespaced": True, "verbs": ["create"]},
                {"name": "ports", "namespaced": False, "verbs": ["get", "list"]},
            ]
        }
    }
    other = served["page"](written, served["rows"](lists))
    assert other != written
    table = other[other.index("| group") : other.index("`tools/served.py`")]
    assert table.splitlines()[2:] == [
        "| `x/v1` | `ships` with sail | get |",
        "| `x/v1` | `ports` (of the cluster) | get, list |",
        "",
    ]
    assert served["page"](other, served["rows"](lists)) == other
    assert other.partition("`tools/served.py`")[2] == written.partition("`tools/served.py`")[2]
