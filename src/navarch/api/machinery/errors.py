# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the API: StatusError carries a `Status`, FieldError one cause of a 422.

Codes and reasons are those of the API reference (Status v1 meta). HTTP itself is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, SupportsIndex

import msgspec

CauseType = Literal[
    "FieldValueRequired",
    "FieldValueInvalid",
    "FieldValueDuplicate",
    "FieldValueNotFound",
    "FieldValueNotSupported",
    "FieldValueForbidden",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
]

_WORDS: dict[str, str] = {
    "FieldValueRequired": "Required value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueNotFound": "Not found",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
}
_VALUELESS = frozenset({"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong"})

#: Errors of one answer. Validation ends there: a body of nothing but mistakes costs no more than another.
LIMIT = 100
#: Characters of a value, of a key in a path, and of a path, in an error.
_VALUE, _KEY, _PATH = 1024, 256, 2048


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field. `path` is the wire path, e.g. `spec.containers[0].image`."""

    path: str
    type: CauseType
    detail: str = ""
    value: Any = None

    def message(self) -> str:
        text = _WORDS[self.type]
        if self.type not in _VALUELESS:
            text += f": {cut(msgspec.json.encode(self.value).decode(), _VALUE)}"
        return f"{text}: {self.detail}" if self.detail else text


def cut(text: str, most: int = _KEY) -> str:
    """The text, or its beginning where it is long. An error that names a key of a megabyte for each of its
    values would be quadratic.
    """
    return text if len(text) <= most else f"{text[:most]}..."


class TooManyErrors(Exception):
    """Ends a validation that has found enough."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors


class ErrorList(list[FieldError]):
    """What a validation has found. Raises TooManyErrors, for `gather`, at one more than LIMIT."""

    def append(self, error: FieldError) -> None:
        super().append(error)
        if len(self) > LIMIT:
            raise TooManyErrors(list(self))

    def extend(self, errors: Iterable[FieldError]) -> None:
        for error in errors:
            self.append(error)

    def insert(self, at: SupportsIndex, error: FieldError) -> None:
        super().insert(at, error)
        if len(self) > LIMIT:
            raise TooManyErrors(list(self))

    def __iadd__(self, errors: Iterable[FieldError]) -> ErrorList:  # type: ignore[override,misc] # a list's own
        self.extend(errors)
        return self


def gather(*rules: Callable[[], Iterable[FieldError]]) -> list[FieldError]:
    """What the rules find, of which `invalid_object` shows LIMIT at most."""
    found: list[FieldError] = []
    for rule in rules:
        try:
            found += rule()
        except TooManyErrors as many:
            found += many.errors
        if len(found) > LIMIT:
            break
    return found


def required(path: str, detail: str = "") -> FieldError:
    return FieldError(path, "FieldValueRequired", detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError(path, "FieldValueInvalid", detail, value)


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(path, "FieldValueDuplicate", "", value)


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError(path, "FieldValueForbidden", detail)


def not_supported(path: str, value: Any, supported: Sequence[str]) -> FieldError:
    names = ", ".join(f'"{s}"' for s in supported)
    return FieldError(path, "FieldValueNotSupported", f"supported values: {names}", value)


class StatusError(Exception):
    """An answer other than success. `details` follows StatusDetails: name, group, kind, uid, causes,
    retryAfterSeconds."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """The `Status` object to send."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status

    @classmethod
    def from_body(cls, code: int, body: Any) -> StatusError:
        """The error a server sent: a decoded JSON body that should be a Status; anything else is told as it
        is."""
        if isinstance(body, dict) and body.get("kind") == "Status":
            details = body.get("details")
            return cls(
                int(body.get("code") or code),
                str(body.get("reason") or ""),
                str(body.get("message") or f"HTTP {code}"),
                details if isinstance(details, dict) else None,
            )
        return cls(code, "Unknown", f"HTTP {code}: {str(body)[:200]}")


def _details(resource: str, group: str, name: str) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if resource:
        details["kind"] = resource
    return details


def _full(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, name: str, group: str = "") -> StatusError:
    return StatusError(
        404, "NotFound", f'{_full(resource, group)} "{name}" not found', _details(resource, group, name)
    )


def already_exists(resource: str, name: str, group: str = "") -> StatusError:
    message = f'{_full(resource, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(resource, group, name))


def conflict(resource: str, name: str, why: str, group: str = "") -> StatusError:
    message = f'Operation cannot be fulfilled on {_full(resource, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(resource, group, name))


def conflict_of_fields(clashes: Sequence[tuple[str, str]]) -> StatusError:
    """409 of server-side apply. clashes: (manager, path of a field it owns), by manager; LIMIT are shown."""
    more = len(clashes) > LIMIT
    clashes = [(manager, cut(path, _PATH)) for manager, path in clashes[:LIMIT]]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in clashes
    ]
    if len(clashes) == 1:
        (manager, path) = clashes[0]
        message = f"Apply failed with 1 conflict: conflict with {manager}: {path}"
    else:
        lines = [f"Apply failed with {f'more than {LIMIT}' if more else len(clashes)} conflicts:"]
        listed = ""
        for manager, path in clashes:
            if manager != listed:
                lines.append(f"conflicts with {manager}:")
                listed = manager
            lines.append(f"- {path}")
        message = " ".join(lines[:2]) + "\n" + "\n".join(lines[2:])
    return StatusError(409, "Conflict", message, {"causes": causes})


def invalid_object(kind: str, name: str, errors: Sequence[FieldError], group: str = "") -> StatusError:
    """422 with every cause up to LIMIT; `kind` is the CamelCase kind, as the reference has it for Invalid."""
    shown = [(e.type, cut(e.path, _PATH), e.message()) for e in errors[:LIMIT]]
    texts = [f"{path}: {message}" for _, path, message in shown]
    if len(errors) > LIMIT:
        texts.append(f"too many errors: only the first {LIMIT} are shown")
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _details(kind, group, cut(name))
    details["causes"] = [{"reason": type, "message": message, "field": path} for type, path, message in shown]
    message = f'{_full(kind, group)} "{cut(name)}" is invalid: {joined}'
    return StatusError(422, "Invalid", message, details)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> StatusError:
    return StatusError(401, "Unauthorized", message)


def forbidden_request(resource: str, name: str, why: str, group: str = "") -> StatusError:
    target = f'{_full(resource, group)} "{name}"' if name else _full(resource, group)
    return StatusError(403, "Forbidden", f"{target} is forbidden: {why}", _details(resource, group, name))


def method_not_allowed(message: str) -> StatusError:
    return StatusError(405, "MethodNotAllowed", message)


def not_acceptable(message: str) -> StatusError:
    return StatusError(406, "NotAcceptable", message)


def gone(message: str) -> StatusError:
    """A watch or continue token whose revision was compacted: list again."""
    return StatusError(410, "Expired", message)


def too_large(limit: int, of: str = "") -> StatusError:
    message = f"Request entity too large: limit is {limit}"
    return StatusError(413, "RequestEntityTooLarge", f"{message} for {of}" if of else message)


def object_too_large(size: int, limit: int) -> StatusError:
    message = f"the object would have {size} bytes, and the store takes objects of {limit} bytes at most"
    return StatusError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(message: str) -> StatusError:
    return StatusError(415, "UnsupportedMediaType", message)


def too_many_requests(message: str, retry_after: int = 1) -> StatusError:
    return StatusError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after})


def internal(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}")


def storage_read_error(resource: str, name: str, group: str, why: str) -> StatusError:
    """A stored object that cannot be read (KEP-3926)."""
    return StatusError(
        500,
        "StorageReadError",
        f'{_full(resource, group)} "{name}" cannot be read from the store: {why}; restore it with'
        " `navarch store repair`, or delete it with ignoreStoreReadErrorWithClusterBreakingPotential",
        _details(resource, group, name),
    )


def unavailable(message: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", message)


def timeout(message: str) -> StatusError:
    return StatusError(504, "Timeout", message)
