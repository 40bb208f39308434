# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong, as Kubernetes says it: StatusError carries a `Status`, FieldError one cause of a 422.

Codes and reasons are those of the API reference (Status v1 meta). HTTP itself is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

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


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field. `path` is the wire path, e.g. `spec.containers[0].image`."""

    path: str
    type: CauseType
    detail: str = ""
    value: Any = None

    def message(self) -> str:
        text = _WORDS[self.type]
        if self.type not in _VALUELESS:
            text += f": {msgspec.json.encode(self.value).decode()}"
        return f"{text}: {self.detail}" if self.detail else text


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
    """409 of server-side apply. clashes: (manager, path of a field it owns), by manager."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in clashes
    ]
    if len(clashes) == 1:
        (manager, path) = clashes[0]
        message = f"Apply failed with 1 conflict: conflict with {manager}: {path}"
    else:
        lines = [f"Apply failed with {len(clashes)} conflicts:"]
        told = ""
        for manager, path in clashes:
            if manager != told:
                lines.append(f"conflicts with {manager}:")
                told = manager
            lines.append(f"- {path}")
        message = " ".join(lines[:2]) + "\n" + "\n".join(lines[2:])
    return StatusError(409, "Conflict", message, {"causes": causes})


def invalid_object(kind: str, name: str, errors: Sequence[FieldError], group: str = "") -> StatusError:
    """422 with every cause; `kind` is the CamelCase kind, as the reference has it for Invalid."""
    texts = [f"{e.path}: {e.message()}" for e in errors]
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _details(kind, group, name)
    details["causes"] = [{"reason": e.type, "message": e.message(), "field": e.path} for e in errors]
    message = f'{_full(kind, group)} "{name}" is invalid: {joined}'
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
    """A watch or continue token whose revision was compacted: list anew."""
    return StatusError(410, "Expired", message)


def too_large(limit: int) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


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
