# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI documents of the API, made from the scheme.

V3 a group and version, and one v2 document of everything.

Names, extensions and forms are those that Kubernetes publishes, because kubectl reads them: `kubectl explain`
finds a kind by the operations of its paths, validation looks for the parameter fieldValidation of PATCH, and
apply merges by the patch keys. Paths are in `openapi_paths`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

import msgspec

from navarch.api.machinery import meta, openapi_paths, shapes
from navarch.api.machinery.scheme import Kind, Scheme

VERSION = "v1.37.0"

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_TIME = _META + "Time"
_MICRO_TIME = _META + "MicroTime"
_FIELDS_V1 = _META + "FieldsV1"

Schema = dict[str, Any]
Dialect = Literal["v2", "v3"]

_KIND = "Kind of the object, CamelCase; the server can tell it from the path."
_API_VERSION = "Group and version of the object's schema."


def _string(description: str, **more: Any) -> Schema:
    return {"description": description, "type": "string", **more}


def _leaves(dialect: Dialect) -> dict[str, Schema]:
    """Types of the reference that are no structs here."""
    quantity: Schema = {"description": 'An amount with a suffix, such as "500m" or "2Gi", or a plain number.'}
    either: Schema = {"description": "An integer, or a string such as a name or a percentage."}
    if dialect == "v3":
        quantity["oneOf"] = [{"type": "string"}, {"type": "number"}]
        either |= {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
    else:
        quantity["type"] = "string"
        either |= {"type": "string", "format": "int-or-string"}
    return {
        _QUANTITY: quantity,
        _INT_OR_STRING: either,
        _TIME: _string("A moment in UTC, to the second (RFC 3339).", format="date-time"),
        _MICRO_TIME: _string("A moment in UTC, to the microsecond (RFC 3339).", format="date-time"),
        _FIELDS_V1: {"description": "A set of fields, as a tree of their names.", "type": "object"},
    }


def _path_of(group: str, version: str) -> str:
    """`io.k8s.api.core.v1.` for the groups of Kubernetes, a reversed domain for others."""
    if not group or "." not in group:
        return f"io.k8s.api.{group or 'core'}.{version}."
    if group.endswith(".k8s.io"):
        return f"io.k8s.api.{group.partition('.')[0]}.{version}."
    return ".".join(reversed(group.split("."))) + f".{version}."


@cache
def _module_path(module: str) -> str:
    """Where the types of one file belong.

    With its kinds; shared shapes are of the core group, meta of meta.
    """
    if module == meta.__name__:
        return _META
    for value in vars(sys.modules[module]).values():
        if isinstance(value, Kind) and value.type.__module__ == module:
            return _path_of(value.group, value.version)
    return _path_of("", "v1")


def type_name(struct: type[msgspec.Struct]) -> str:
    """The published name of a type: `io.k8s.api.core.v1.Pod`."""
    return _module_path(struct.__module__) + struct.__name__


def _gvk(group: str, version: str, kind: str) -> Schema:
    return {"group": group, "version": version, "kind": kind}


class _Definitions:
    """Collects schemas by name; asking for the reference to a type adds the type and all below it."""

    def __init__(self, scheme: Scheme, dialect: Dialect) -> None:
        self.found: dict[str, Schema] = {}
        self._scheme = scheme
        self._dialect = dialect
        self._prefix = "#/components/schemas/" if dialect == "v3" else "#/definitions/"
        self._leaves = _leaves(dialect)
        self._kinds = {kind.type: kind for kind in scheme}

    def ref(self, target: type[msgspec.Struct] | str) -> Schema:
        if isinstance(target, str):
            if target in self._leaves:
                self.found[target] = self._leaves[target]
            return {"$ref": self._prefix + target}
        name = type_name(target)
        if name not in self.found:
            self.found[name] = {}
            self.found[name] = self._object(target)
        return {"$ref": self._prefix + name}

    def _described(self, ref: Schema, description: str) -> Schema:
        """A reference with words beside it; v3 allows nothing beside `$ref` itself."""
        if not description:
            return ref
        if self._dialect == "v3":
            return {"description": description, "allOf": [ref]}
        return {"description": description, **ref}

    def _object(self, struct: type[msgspec.Struct]) -> Schema:
        fields = shapes.fields(struct)
        made: Schema = {"description": inspect.cleandoc(struct.__dict__.get("__doc__") or struct.__name__)}
        needed = [f.name for f in fields.values() if f.required]
        if needed:
            made["required"] = needed
        made["type"] = "object"
        if fields:
            made["properties"] = {name: self._property(f) for name, f in sorted(fields.items())}
        if getattr(struct, "atomic", False):
            made["x-kubernetes-map-type"] = "atomic"
        kind = self._kinds.get(struct)
        if kind is not None:
            made["x-kubernetes-group-version-kind"] = [_gvk(kind.group, kind.version, kind.kind)]
        elif struct is meta.DeleteOptions:
            made["x-kubernetes-group-version-kind"] = [
                _gvk(group, version, "DeleteOptions") for group, version in self._scheme.groups()
            ]
        return made

    def _property(self, field: shapes.Field) -> Schema:
        made = self._value(field.shape, field.format, field.description)
        if field.list_type:
            of = "map" if field.shape.form == "map" else "list"
            made[f"x-kubernetes-{of}-type"] = field.list_type
        if field.merge_key:
            if field.list_type == "map":
                made["x-kubernetes-list-map-keys"] = list(field.merge_key)
            made["x-kubernetes-patch-merge-key"] = field.merge_key[0]
        if field.strategy:
            made["x-kubernetes-patch-strategy"] = field.strategy
        return made

    def _value(self, shape: shapes.Shape, format: str, description: str = "") -> Schema:
        ref = self._reference(shape, format)
        if ref is not None:
            return self._described(ref, description)
        made: Schema = {"description": description} if description else {}
        match shape.form:
            case "list":
                made["type"] = "array"
                made["items"] = self._value(shape.element or shapes.Shape("any"), format)
            case "map":
                made["type"] = "object"
                if shape.element is not None and shape.element.form != "any":
                    made["additionalProperties"] = self._value(shape.element, format)
            case "bytes":
                made |= {"type": "string", "format": "byte"}
            case "integer":
                made |= {"type": "integer", "format": format or "int64"}
            case "number":
                made |= {"type": "number", "format": format or "double"}
            case "boolean" | "string":
                made["type"] = shape.form
                if format:
                    made["format"] = format
        return made

    def _reference(self, shape: shapes.Shape, format: str) -> Schema | None:
        if shape.struct is not None:
            return self.ref(shape.struct)
        if shape.form == "quantity":
            return self.ref(_QUANTITY)
        if shape.form == "int-or-string":
            return self.ref(_INT_OR_STRING)
        if shape.form == "string" and format == "date-time":
            return self.ref(_TIME)
        if shape.form == "string" and format == "micro-time":
            return self.ref(_MICRO_TIME)
        return None

    def add_kind(self, kind: Kind[Any]) -> None:
        """A kind, and the list of it."""
        item = self.ref(kind.type)
        if not kind.stored:
            return
        name = type_name(kind.type) + "List"
        self.found[name] = {
            "description": f"A list of {kind.kind} objects.",
            "required": ["items"],
            "type": "object",
            "properties": {
                "apiVersion": _string(_API_VERSION),
                "items": {"description": "The objects.", "type": "array", "items": item},
                "kind": _string(_KIND),
                "metadata": self._described(self.ref(meta.ListMeta), "Standard list metadata."),
            },
            "x-kubernetes-group-version-kind": [_gvk(kind.group, kind.version, kind.kind + "List")],
        }

    def add_meta(self) -> None:
        """What every group's operations speak of: Status, Patch, WatchEvent, DeleteOptions."""
        self.ref(meta.DeleteOptions)
        self.found[_META + "Patch"] = {
            "description": "A change to an object; its form is said by the content type.",
            "type": "object",
        }
        cause = {
            "description": "One thing that is wrong.",
            "type": "object",
            "properties": {
                "field": _string("Path of the field that is wrong."),
                "message": _string("What is wrong with it, for people."),
                "reason": _string("What is wrong with it, as one word."),
            },
        }
        causes = {
            "description": "All that is wrong.",
            "type": "array",
            "items": {"$ref": f"{self._prefix}{_META}StatusCause"},
            "x-kubernetes-list-type": "atomic",
        }
        details = {
            "description": "What a Status is about.",
            "type": "object",
            "properties": {
                "causes": causes,
                "group": _string("Group of the resource."),
                "kind": _string("The resource or kind."),
                "name": _string("Name of the object."),
                "retryAfterSeconds": {
                    "description": "Seconds to wait before another try.",
                    "type": "integer",
                    "format": "int32",
                },
                "uid": _string("UID of the object."),
            },
        }
        status = {
            "description": "The outcome of a request that answers no object.",
            "type": "object",
            "properties": {
                "apiVersion": _string(_API_VERSION),
                "code": {"description": "The HTTP code.", "type": "integer", "format": "int32"},
                "details": self._described(
                    {"$ref": f"{self._prefix}{_META}StatusDetails"}, "What it is about."
                ),
                "kind": _string(_KIND),
                "message": _string("The outcome, for people."),
                "metadata": self._described(self.ref(meta.ListMeta), "Standard list metadata."),
                "reason": _string("The outcome, as one word."),
                "status": _string("Success or Failure."),
            },
            "x-kubernetes-group-version-kind": [_gvk("", "v1", "Status")],
        }
        event = {
            "description": "One event of a watch.",
            "required": ["type", "object"],
            "type": "object",
            "properties": {
                "object": {"description": "The object, or a Status after ERROR.", "type": "object"},
                "type": _string("ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."),
            },
            "x-kubernetes-group-version-kind": [
                _gvk(group, version, "WatchEvent") for group, version in self._scheme.groups()
            ],
        }
        self.found[_META + "StatusCause"] = cause
        self.found[_META + "StatusDetails"] = details
        self.found[_META + "Status"] = status
        self.found[_META + "WatchEvent"] = event


def _collect(scheme: Scheme, dialect: Dialect, kinds: Iterable[Kind[Any]]) -> tuple[Schema, Schema]:
    """(definitions, paths) of some kinds."""
    definitions = _Definitions(scheme, dialect)
    definitions.add_meta()
    paths: Schema = {}
    for kind in kinds:
        definitions.add_kind(kind)
        for requested in openapi_paths.subresource_kinds(scheme, kind):
            definitions.ref(requested.type)
        paths.update(openapi_paths.paths(scheme, kind, type_name, dialect))
    return dict(sorted(definitions.found.items())), dict(sorted(paths.items()))


def document(scheme: Scheme, group: str, version: str) -> Schema:
    """The OpenAPI v3 document of one group and version."""
    kinds = [kind for kind in scheme if (kind.group, kind.version) == (group, version)]
    definitions, paths = _collect(scheme, "v3", kinds)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "BearerToken": {
                    "description": "Bearer token",
                    "in": "header",
                    "name": "authorization",
                    "type": "apiKey",
                }
            },
        },
    }


def document_v2(scheme: Scheme) -> Schema:
    """The one OpenAPI v2 (Swagger) document of all groups."""
    definitions, paths = _collect(scheme, "v2", scheme)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer token",
                "in": "header",
                "name": "authorization",
                "type": "apiKey",
            }
        },
        "security": [{"BearerToken": []}],
    }
