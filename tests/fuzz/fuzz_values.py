# SPDX-License-Identifier: GPL-3.0-or-later
"""Values after an OpenAPI schema, and values that no schema allows; documents changed here and there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

#: What breaks things.
WILD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 1.5, -0.0, 1e308,
    "", " ", "\x00", "\n", "a\u0000b", "😀", "\ud83d", "\ude00", "é", "..", "../..", "/", "a/b", "%2e", "*",
    "true", "null", "-1", "1e9", "9" * 300, "1Gi", "-5m", "1e999999", "x" * 5000, "2026-01-31T12:00:00Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+14:00", "10.0.0.1", "::1", "10.0.0.0/33", "{{",
    [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": {}}}}, ["x"] * 300, [{}] * 300,
    {"$patch": "delete"}, {"$patch": "replace"}, {"$patch": "x"}, {"$retainKeys": ["name"]},
    {"$setElementOrder/containers": [{"name": "a"}]}, {"$deleteFromPrimitiveList/finalizers": ["a"]},
]  # fmt: skip

NAMES = [f"o{i}" for i in range(12)]
_STRINGS = [
    *NAMES, "a", "web", "default", "app", "http", "TCP", "UDP", "Always", "ClusterIP", "NoSchedule", "cpu",
    "memory", "IfNotPresent", "v1", "Pod", "Node", "metadata.name", "example.com/a", "YQ==", "*",
]  # fmt: skip
_FORMATS = {
    "date-time": ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00+01:00"],
    "quantity": ["1", "100m", "1Gi", "0", "1.5"],
    "byte": ["YQ==", "", "YWJj"],
}


class Schemas:
    """The schemas of all OpenAPI documents, by reference."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self._named: dict[str, Any] = {}
        for document in documents:
            for name, schema in document.get("components", {}).get("schemas", {}).items():
                self._named[f"#/components/schemas/{name}"] = schema

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        for part in schema.get("allOf", ()):
            schema = {**part, **{k: v for k, v in schema.items() if k != "allOf"}}
        while "$ref" in schema:
            schema = self._named.get(schema["$ref"], {})
        return schema

    def value(self, r: Random, schema: dict[str, Any], depth: int = 0, name: str = "") -> Any:
        """Mostly what the schema says."""
        if r.random() < 0.005:
            return r.choice(WILD)
        schema = self.resolved(schema)
        kind = schema.get("type")
        if "oneOf" in schema or schema.get("x-kubernetes-int-or-string"):
            return r.choice([80, "http", "50%", "1Gi"])
        if kind == "string":
            if name in ("name", "namespace") and r.random() < 0.8:
                return r.choice(NAMES)
            return r.choice(_FORMATS.get(schema.get("format", ""), _STRINGS))
        if kind == "integer":
            return r.choice([0, 1, 3, 80, 8080, 65535, 70000, 300])
        if kind == "number":
            return r.choice([0, 0.5, 1])
        if kind == "boolean":
            return r.random() < 0.5
        if depth > 7:
            return [] if kind == "array" else {}
        if kind == "array":
            count = r.choice([0, 1, 1, 2, 3] if r.random() < 0.98 else [200])
            return [self.value(r, schema.get("items", {}), depth + 1, name) for _ in range(count)]
        if "properties" in schema:
            needed = set(schema.get("required", ()))
            chance = 0.5 if depth < 2 else 0.2
            made = {
                key: self.value(r, inner, depth + 1, key)
                for key, inner in schema["properties"].items()
                if r.random() < (0.95 if key in needed else chance)
            }
            if r.random() < 0.03:
                made[r.choice(["unknown", "", "a b", "😀"])] = r.choice(WILD)
            return made
        if "additionalProperties" in schema:
            inner = schema["additionalProperties"]
            inner = inner if isinstance(inner, dict) else {}
            return {r.choice(_STRINGS): self.value(r, inner, depth + 1) for _ in range(r.randrange(3))}
        return r.choice([{}, {"a": 1}, "x", 1])


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values."""
    yield path
    pairs = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document[:20])
        if isinstance(document, list)
        else ()
    )
    for key, inner in pairs:
        yield from places(inner, (*path, key))


def changed(r: Random, document: Any, times: int) -> Any:
    """A copy in which some values are wild, gone, doubled or in another place."""
    made = copy.deepcopy(document)
    for _ in range(times):
        path = r.choice(list(places(made)))
        if not path:
            continue
        at = made
        for key in path[:-1]:
            at = at[key]
        key = path[-1]
        what = r.randrange(5)
        if what == 0 and isinstance(at, dict):
            del at[key]
        elif what == 1 and isinstance(at, list):
            at.append(copy.deepcopy(at[key]))
        elif what == 2 and isinstance(at, dict):
            at[r.choice(_STRINGS)] = at[key]
        else:
            at[key] = copy.deepcopy(r.choice(WILD))
    return made
