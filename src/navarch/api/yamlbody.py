# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML bodies as the generic documents that JSON bodies are.

Strings stay strings (no dates), keys are strings, no aliases.

Imported only when a body is YAML. Files of our own configuration are read elsewhere.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from navarch.api.errors import bad_request

_KINDS = {"null", "bool", "int", "float", "str", "seq", "map"}


class _NoColon:
    """A pattern, but not for `1:30`, which YAML 1.1 reads in base 60 and the reference as text."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def match(self, value: str) -> re.Match[str] | None:
        return None if ":" in value else self._pattern.match(value)


class _Loader(yaml.SafeLoader):
    """SafeLoader without timestamps and the like, and without aliases, which could make a small body huge."""

    yaml_implicit_resolvers = {
        first: [(tag, _NoColon(pattern)) for tag, pattern in found if tag.rpartition(":")[2] in _KINDS]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in _KINDS
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _key(self.construct_object(key_node, deep=True))
            if key in found:
                raise yaml.YAMLError(
                    f'key "{key}" is already set in map (line {key_node.start_mark.line + 1})'
                )
            found[key] = self.construct_object(value_node, deep=deep)
        return found


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if key is None:
        return "null"
    if isinstance(key, str | int | float):
        return str(key)
    raise yaml.YAMLError("a key is not a scalar")


def load(body: bytes) -> Any:
    """Raises StatusError 400 with the position."""
    try:
        return yaml.load(body, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        mark = getattr(e, "problem_mark", None)
        at = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        why = getattr(e, "problem", None) or str(e).partition("\n")[0] or type(e).__name__
        raise bad_request(f"the body of the request is not valid YAML: {why}{at}") from None
