# SPDX-License-Identifier: GPL-3.0-or-later
"""What Google publishes about an API (its discovery document), as a judge of requests and answers.

Belongs here: types, formats, unknown fields, paths and parameters. Not here: what any of it means.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from importlib.resources import files
from typing import Any

Schema = dict[str, Any]
_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_PLAIN = {"boolean": bool, "integer": int, "number": (int, float), "string": str}


class Discovery:
    """The document of one API, such as compute.v1, as google-api-python-client ships it."""

    def __init__(self, name: str) -> None:
        documents = files("googleapiclient") / "discovery_cache" / "documents"
        self._document = json.loads((documents / f"{name}.json").read_text())
        self._schemas: dict[str, Schema] = self._document["schemas"]
        self._methods = list(self._walk(self._document["resources"]))

    def method(self, verb: str, path: str) -> Schema | None:
        """The method behind a request, by its path after the API's base."""
        for pattern, method in self._methods:
            if method["httpMethod"] == verb and pattern.fullmatch(path):
                return method
        return None

    def wrong_request(self, verb: str, path: str, query: dict[str, str], body: Any) -> list[str]:
        """What is wrong with a request, as one line each."""
        method = self.method(verb, path)
        if method is None:
            return [f"no method is {verb} {path}"]
        known = method.get("parameters", {}) | self._document["parameters"]
        wrong = [f"{method['id']} has no parameter {name}" for name in query if name not in known]
        if "request" in method:
            wrong += self.wrong_value(body, method["request"], "body", required_by=method["id"])
        elif body is not None:
            wrong.append(f"{method['id']} takes no body")
        return wrong

    def wrong_answer(self, verb: str, path: str, answer: Any) -> list[str]:
        """What is wrong with an answer of 200 to a request."""
        method = self.method(verb, path)
        if method is None or "response" not in method:
            return [f"no method with an answer is {verb} {path}"]
        return self.wrong_value(answer, method["response"], method["response"]["$ref"])

    def wrong_value(self, value: Any, schema: Schema, where: str, required_by: str = "") -> list[str]:
        """Where a value departs from a schema."""
        if "$ref" in schema:
            return self.wrong_value(value, self._schemas[schema["$ref"]], where, required_by)
        kind = schema.get("type", "any")
        if kind == "object":
            return self._wrong_object(value, schema, where, required_by)
        if kind == "array":
            if not isinstance(value, list):
                return [f"{where}: {value!r} is no array"]
            return [
                found
                for at, item in enumerate(value)
                for found in self.wrong_value(item, schema["items"], f"{where}[{at}]", required_by)
            ]
        if kind == "any":
            return []
        if not isinstance(value, _PLAIN[kind]) or (isinstance(value, bool) and kind != "boolean"):
            return [f"{where}: {value!r} is no {kind}"]
        return [f"{where}: {value!r} {why}" for why in _wrong_scalar(value, schema)]

    def _wrong_object(self, value: Any, schema: Schema, where: str, required_by: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        wrong = []
        for name, item in value.items():
            part = properties.get(name, others)
            if part is None:
                wrong.append(f"{where}.{name}: no such field")
            else:
                wrong += self.wrong_value(item, part, f"{where}.{name}", required_by)
        for name, part in properties.items():
            needed = part.get("annotations", {}).get("required", [])
            if required_by and required_by in needed and name not in value:
                wrong.append(f"{where}.{name}: is required by {required_by}")
        return wrong

    def _walk(self, resources: Schema) -> list[tuple[re.Pattern[str], Schema]]:
        found = []
        for resource in resources.values():
            for method in resource.get("methods", {}).values():
                parts = re.split(r"\{\+?\w+\}", method.get("flatPath") or method["path"])
                found.append((re.compile("[^/]+".join(re.escape(part) for part in parts)), method))
            found += self._walk(resource.get("resources", {}))
        return found


def _wrong_scalar(value: Any, schema: Schema) -> list[str]:
    form, wrong = schema.get("format", ""), []
    if form in _RANGES:
        low, high = _RANGES[form]
        number = int(value) if re.fullmatch(r"-?\d+", str(value)) else None
        if number is None or not low <= number <= high:
            wrong.append(f"is no {form}")
    if form == "byte":
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            wrong.append("is no base64")
    if "enum" in schema and value not in schema["enum"]:
        wrong.append(f"is none of {', '.join(schema['enum'])}")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], str(value)):
        wrong.append(f"is not like {schema['pattern']}")
    return wrong
