# SPDX-License-Identifier: GPL-3.0-or-later
"""Booleans of roles are read as such: `-e name=false` and INI inventories give texts; any text is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"


def booleans() -> list[tuple[str, str]]:
    found = []
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        specs: dict[str, Any] = yaml.safe_load(path.read_text())["argument_specs"]
        for entry in specs.values():
            for name, option in (entry.get("options") or {}).items():
                if option["type"] == "bool":
                    found.append((path.parts[-3], name))
    return found


@pytest.mark.parametrize(("role", "option"), booleans())
def test_every_use_of_a_boolean_makes_it_one(role: str, option: str) -> None:
    """`NAME=` is what a message tells to say, `word: NAME` the name itself."""
    use = re.compile(rf"\b{option}\b(?!=)(?! \| bool)")
    named = re.compile(rf"^  [\w-]+: {option}$")
    for folder in ("tasks", "handlers", "vars", "templates"):
        for path in (ROLES / role / folder).glob("**/*.*"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                assert not use.search(line) or named.match(line), f"{path.name}:{number}: {line.strip()}"
