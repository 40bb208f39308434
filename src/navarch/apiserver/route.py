# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request asks for: its path and method as verb, kind, namespace, name and subresource; its query as
typed options.

Rules of the paths: the API reference, "Resource URIs". Not here: whether the asker may, and what is answered.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from navarch.api.machinery import errors
from navarch.api.machinery.scheme import Kind, Scheme


class Target(NamedTuple):
    """A resource, or a part of one, that a path names. Empty strings where the path says nothing."""

    kind: Kind[Any]
    namespace: str
    name: str
    subresource: str
    #: What follows a subresource (`proxy/a/b`).
    rest: str


class Options(NamedTuple):
    """The query options of all verbs, checked. Empty strings where not given."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    watch: bool = False
    bookmarks: bool = False
    send_initial_events: bool | None = None
    timeout: float | None = None
    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = ""
    grace_period: int | None = None
    propagation: str = ""
    orphan: bool | None = None
    ignore_read_errors: bool = False
    force: bool = False
    include_object: str = ""


NO_OPTIONS = Options()

_VALIDATION = ("Strict", "Warn", "Ignore")
_MATCHES = ("NotOlderThan", "Exact")
_PROPAGATION = ("Orphan", "Background", "Foreground")
_TRUE = frozenset({"true", "1", "t", "T", "True", "TRUE", ""})
_FALSE = frozenset({"false", "0", "f", "F", "False", "FALSE"})


def unknown_path() -> errors.StatusError:
    return errors.StatusError(404, "NotFound", "the server could not find the requested resource", {})


def find(scheme: Scheme, path: str) -> Target | None:
    """The resource a path below /api or /apis names; None when the path is no resource's (discovery, say).

    Raises StatusError 404 for a resource that is not served.
    """
    parts = path.split("/")
    if parts[1] == "api":
        if len(parts) < 4:
            return None
        group, version, at = "", parts[2], 3
    else:
        if len(parts) < 5:
            return None
        group, version, at = parts[2], parts[3], 4
    if parts[-1] == "":
        parts.pop()
        if len(parts) <= at:
            return None
    if "%" in path:
        parts = [unquote(p) for p in parts]
    namespace = ""
    # /namespaces/N and /namespaces/N/status (or finalize) are the namespace itself; one part more is
    # something in it.
    if parts[at] == "namespaces" and len(parts) > at + 2 and not _of_namespace(group, parts, at):
        namespace = parts[at + 1]
        at += 2
    resource = parts[at]
    kind = scheme.resource(group, version, resource)
    if kind is None or (namespace and not kind.namespaced):
        raise unknown_path()
    count = len(parts) - at
    if count == 1:
        return Target(kind, namespace, "", "", "")
    if kind.namespaced and not namespace:
        raise unknown_path()
    if count == 2:
        return Target(kind, namespace, parts[at + 1], "", "")
    subresource = parts[at + 2]
    if subresource not in kind.subresources or (count > 3 and subresource != "proxy"):
        raise unknown_path()
    return Target(kind, namespace, parts[at + 1], subresource, "/".join(parts[at + 3 :]))


def _of_namespace(group: str, parts: list[str], at: int) -> bool:
    return group == "" and len(parts) == at + 3 and parts[at + 2] in ("status", "finalize")


def verb(method: str, target: Target, options: Options) -> str:
    """The API verb of a request, as authorization and metrics name it. Raises StatusError 405."""
    if target.name:
        if method == "GET":
            return "watch" if options.watch and not target.subresource else "get"
        if method == "PUT":
            return "update"
        if method == "PATCH":
            return "patch"
        if method == "DELETE":
            return "delete"
        if method == "POST" and target.subresource:
            return "create"
    elif method == "GET":
        return "watch" if options.watch else "list"
    elif method == "POST":
        if target.kind.namespaced and not target.namespace and target.kind.stored:
            raise errors.method_not_allowed("the server does not allow this method on the requested resource")
        return "create"
    elif method == "DELETE":
        return "deletecollection"
    raise errors.method_not_allowed("the server does not allow this method on the requested resource")


def options(query: str) -> Options:
    """Read a raw query; unknown options are passed over. Raises StatusError 400 that names the bad one."""
    if not query:
        return NO_OPTIONS
    found: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        reader = _READERS.get(key)
        if reader is not None:
            name, read = reader
            if value or name in ("watch", "bookmarks", "force"):
                found[name] = read(key, value)
    return Options(**found)


def _text(key: str, value: str) -> str:
    return value


def _boolean(key: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise errors.bad_request(f"query option {key}: {value!r} is neither true nor false")


def _natural(key: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise errors.bad_request(f"query option {key}: {value!r} is no whole number of 0 or more")
    return int(value)


def _seconds(key: str, value: str) -> float:
    return float(_natural(key, value))


def _one_of(*values: str) -> Any:
    def read(key: str, value: str) -> str:
        if value not in values:
            raise errors.bad_request(f"query option {key}: {value!r} is not one of {', '.join(values)}")
        return value

    return read


def _all(key: str, value: str) -> bool:
    if value != "All":
        raise errors.bad_request(f"query option {key}: {value!r} is not All")
    return True


def _version(key: str, value: str) -> str:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise errors.bad_request(f"query option {key}: Invalid value: {value!r}: not a resource version")
    return value


_READERS: dict[str, tuple[str, Any]] = {
    "labelSelector": ("labels", _text),
    "fieldSelector": ("fields", _text),
    "limit": ("limit", _natural),
    "continue": ("continue_", _text),
    "resourceVersion": ("resource_version", _version),
    "resourceVersionMatch": ("resource_version_match", _one_of(*_MATCHES)),
    "watch": ("watch", _boolean),
    "allowWatchBookmarks": ("bookmarks", _boolean),
    "sendInitialEvents": ("send_initial_events", _boolean),
    "timeoutSeconds": ("timeout", _seconds),
    "dryRun": ("dry_run", _all),
    "fieldManager": ("field_manager", _text),
    "fieldValidation": ("field_validation", _one_of(*_VALIDATION)),
    "gracePeriodSeconds": ("grace_period", _natural),
    "propagationPolicy": ("propagation", _one_of(*_PROPAGATION)),
    "orphanDependents": ("orphan", _boolean),
    "ignoreStoreReadErrorWithClusterBreakingPotential": ("ignore_read_errors", _boolean),
    "force": ("force", _boolean),
    "includeObject": ("include_object", _one_of("None", "Metadata", "Object")),
}
