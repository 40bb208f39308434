# SPDX-License-Identifier: GPL-3.0-or-later
"""The paths of the OpenAPI documents: what can be done to a kind and its subresources, with which parameters.

Schemas are in `openapi`. What the server really routes is the apiserver's; both follow the scheme's verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from navarch.api.machinery.scheme import Kind, Scheme

Schema = dict[str, Any]
Dialect = Literal["v2", "v3"]
TypeName = Callable[[type[msgspec.Struct]], str]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_JSON = "application/json"
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)

_DRY_RUN = ("dryRun", "string", "`All` runs every stage but persists nothing.")
_MANAGER = ("fieldManager", "string", "Who makes the change, for managedFields.")
_VALIDATION = (
    "fieldValidation",
    "string",
    "What to do about unknown and duplicate fields: Ignore, Warn or Strict.",
)
_WRITE = (_DRY_RUN, _MANAGER, _VALIDATION)
_LIST = (
    ("allowWatchBookmarks", "boolean", "Whether a watch may send BOOKMARK events."),
    ("continue", "string", "Token of the next page, from the page before."),
    ("fieldSelector", "string", "Only objects whose fields match."),
    ("labelSelector", "string", "Only objects whose labels match."),
    ("limit", "integer", "How many objects a page has at most."),
    ("resourceVersion", "string", "Where a watch begins, or how fresh a list must be."),
    ("resourceVersionMatch", "string", "How resourceVersion is meant: NotOlderThan or Exact."),
    ("sendInitialEvents", "boolean", "Whether a watch begins with the objects that exist."),
    ("timeoutSeconds", "integer", "Seconds after which a list or watch ends."),
    ("watch", "boolean", "Whether to watch for changes instead of listing."),
)
_DELETE = (
    _DRY_RUN,
    ("gracePeriodSeconds", "integer", "Seconds the object has to end by itself."),
    ("orphanDependents", "boolean", "Legacy form of propagationPolicy."),
    ("propagationPolicy", "string", "Orphan, Background or Foreground."),
)
_LOG = (
    ("container", "string", "Container whose log is meant."),
    ("follow", "boolean", "Whether to go on as the log grows."),
    ("limitBytes", "integer", "Bytes after which to stop."),
    ("previous", "boolean", "Whether the log of the container's last run is meant."),
    ("sinceSeconds", "integer", "How far back to begin."),
    ("sinceTime", "string", "When to begin."),
    ("tailLines", "integer", "How many of the last lines to begin with."),
    ("timestamps", "boolean", "Whether every line begins with its time."),
)

#: Subresources that take a kind of their own: (apiVersion, kind).
_OWN = {
    "binding": ("v1", "Binding"),
    "eviction": ("policy/v1", "Eviction"),
    "token": ("authentication.k8s.io/v1", "TokenRequest"),
}
_STREAMS = frozenset({"attach", "exec", "portforward", "proxy"})


def subresource_kinds(scheme: Scheme, kind: Kind[Any]) -> Iterator[Kind[Any]]:
    """The kinds that the subresources of a kind take, where they are another kind."""
    for name in kind.subresources:
        own = scheme.kind(*_OWN[name]) if name in _OWN else None
        if own is not None:
            yield own


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


class _Paths:
    """Makes the operations of one kind."""

    def __init__(self, scheme: Scheme, kind: Kind[Any], type_name: TypeName, dialect: Dialect) -> None:
        self.scheme = scheme
        self.kind = kind
        self.type_name = type_name
        self.dialect = dialect
        self.prefix = "#/components/schemas/" if dialect == "v3" else "#/definitions/"
        group = kind.group.partition(".")[0] or "core"
        self.tag = f"{group}_{kind.version}"
        self.group = _title(group) + _title(kind.version)
        self.scope = "Namespaced" if kind.namespaced else ""
        self.where = self.group + self.scope

    def ref(self, name: str) -> Schema:
        return {"$ref": self.prefix + name}

    def parameter(self, name: str, type: str, description: str, place: str = "query") -> Schema:
        made: Schema = {"name": name, "in": place, "description": description}
        if place == "path":
            made["required"] = True
        if self.dialect == "v3":
            made["schema"] = {"type": type, "uniqueItems": True}
        else:
            made |= {"type": type, "uniqueItems": True}
        return made

    def operation(
        self,
        action: str,
        name: str,
        what: str,
        answer: str | None,
        *,
        kind: Kind[Any] | None = None,
        body: str | None = None,
        media: tuple[str, ...] = (_JSON,),
        parameters: tuple[tuple[str, str, str], ...] = (),
        codes: tuple[str, ...] = ("200",),
    ) -> Schema:
        """One operation. answer: name of the answer's type, None for text."""
        meant = kind or self.kind
        made: Schema = {
            "description": what,
            "operationId": name,
            "tags": [self.tag],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {
                "group": meant.group,
                "version": meant.version,
                "kind": meant.kind,
            },
        }
        given = [self.parameter(*p) for p in parameters]
        schema: Schema = {"type": "string"} if answer is None else self.ref(answer)
        answers = "text/plain" if answer is None else _JSON
        if self.dialect == "v3":
            if body is not None:
                made["requestBody"] = {
                    "content": {m: {"schema": self.ref(body)} for m in media},
                    "required": True,
                }
            responses: Schema = {
                code: {"description": "OK", "content": {answers: {"schema": schema}}} for code in codes
            }
        else:
            made["consumes"] = list(media) if body is not None else ["*/*"]
            made["produces"] = [answers]
            if body is not None:
                given.append({"name": "body", "in": "body", "required": True, "schema": self.ref(body)})
            responses = {code: {"description": "OK", "schema": schema} for code in codes}
        if given:
            made["parameters"] = given
        made["responses"] = responses | {"401": {"description": "Unauthorized"}}
        return made

    def item(self, operations: Schema, *, name: bool, namespace: bool) -> Schema:
        parameters = []
        if name:
            parameters.append(self.parameter("name", "string", f"Name of the {self.kind.kind}.", "path"))
        if namespace:
            parameters.append(self.parameter("namespace", "string", "Namespace of the object.", "path"))
        parameters.append(self.parameter("pretty", "string", "Whether to indent the answer."))
        return operations | {"parameters": parameters}

    def collection(self) -> Schema:
        kind, own = self.kind, self.type_name(self.kind.type)
        found: Schema = {}
        if "list" in kind.verbs:
            found["get"] = self.operation(
                "list",
                f"list{self.where}{kind.kind}",
                f"List or watch objects of kind {kind.kind}.",
                own + "List",
                parameters=_LIST,
            )
        if "create" in kind.verbs:
            found["post"] = self.operation(
                "post",
                f"create{self.where}{kind.kind}",
                f"Create a {kind.kind}.",
                own,
                body=own,
                parameters=_WRITE,
                codes=("200", "201", "202"),
            )
        if "deletecollection" in kind.verbs:
            found["delete"] = self.operation(
                "deletecollection",
                f"delete{self.group}Collection{self.scope}{kind.kind}",
                f"Delete all objects of kind {kind.kind} that are selected.",
                _META + "Status",
                parameters=_LIST[1:9] + _DELETE,
            )
        return found

    def single(self) -> Schema:
        kind, own = self.kind, self.type_name(self.kind.type)
        found: Schema = {}
        if "get" in kind.verbs:
            found["get"] = self.read(f"read{self.where}{kind.kind}")
        if "update" in kind.verbs:
            found["put"] = self.replace(f"replace{self.where}{kind.kind}")
        if "patch" in kind.verbs:
            found["patch"] = self.patch(f"patch{self.where}{kind.kind}")
        if "delete" in kind.verbs:
            found["delete"] = self.operation(
                "delete",
                f"delete{self.where}{kind.kind}",
                f"Delete a {kind.kind}.",
                own if kind.answers_deleted else _META + "Status",
                body=_META + "DeleteOptions",
                parameters=_DELETE,
                codes=("200", "202"),
            )
        return found

    def read(self, name: str) -> Schema:
        return self.operation("get", name, f"Read a {self.kind.kind}.", self.type_name(self.kind.type))

    def replace(self, name: str) -> Schema:
        own = self.type_name(self.kind.type)
        what = f"Replace a {self.kind.kind}."
        return self.operation("put", name, what, own, body=own, parameters=_WRITE, codes=("200", "201"))

    def patch(self, name: str) -> Schema:
        return self.operation(
            "patch",
            name,
            f"Change parts of a {self.kind.kind}.",
            self.type_name(self.kind.type),
            body=_META + "Patch",
            media=_PATCHES,
            parameters=(*_WRITE, ("force", "boolean", "Whether to take over fields that others manage.")),
            codes=("200", "201"),
        )

    def subresource(self, name: str) -> Schema:
        suffix = f"{self.where}{self.kind.kind}{_title(name)}"
        if name in _OWN:
            own = self.scheme.kind(*_OWN[name])
            if own is None:
                return {}
            body = self.type_name(own.type)
            what = f"Create the {name} of a {self.kind.kind}."
            made = self.operation(
                "post", f"create{suffix}", what, body, kind=own, body=body, parameters=_WRITE, codes=("201",)
            )
            return {"post": made}
        if name == "log":
            return {
                "get": self.operation(
                    "get", f"read{suffix}", "Read the log of a container.", None, parameters=_LOG
                )
            }
        if name in _STREAMS:
            what = f"Connect to the {name} of a {self.kind.kind}."
            return {
                "get": self.operation("connect", f"connectGet{suffix}", what, None),
                "post": self.operation("connect", f"connectPost{suffix}", what, None),
            }
        if name == "scale":
            return {}  # Speaks autoscaling/v1 Scale, which is not a kind of the scheme.
        if name == "finalize":
            return {"put": self.replace(f"replace{suffix}")}
        return {
            "get": self.read(f"read{suffix}"),
            "put": self.replace(f"replace{suffix}"),
            "patch": self.patch(f"patch{suffix}"),
        }


def paths(scheme: Scheme, kind: Kind[Any], type_name: TypeName, dialect: Dialect) -> Schema:
    """All paths of one kind."""
    make = _Paths(scheme, kind, type_name, dialect)
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    namespaced = kind.namespaced
    base = f"{root}/namespaces/{{namespace}}/{kind.resource}" if namespaced else f"{root}/{kind.resource}"
    found: Schema = {}
    if collection := make.collection():
        found[base] = make.item(collection, name=False, namespace=namespaced)
    if namespaced and "list" in kind.verbs:
        everywhere = make.collection()["get"]
        everywhere["operationId"] = f"list{make.group}{kind.kind}ForAllNamespaces"
        found[f"{root}/{kind.resource}"] = make.item({"get": everywhere}, name=False, namespace=False)
    if single := make.single():
        found[f"{base}/{{name}}"] = make.item(single, name=True, namespace=namespaced)
    for name in kind.subresources:
        if operations := make.subresource(name):
            found[f"{base}/{{name}}/{name}"] = make.item(operations, name=True, namespace=namespaced)
    return found
