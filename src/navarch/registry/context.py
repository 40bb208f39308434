# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into the registry beside an object (the user and its options) and what comes out of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from navarch.api.machinery.meta import Object
from navarch.auth.user import User
from navarch.store.cache import Entry


class Context:
    """One request, as the registry needs it. `warnings` collects what the user should be told; `large` says
    that its body is so large that work on it belongs into a thread (`offload`).
    """

    __slots__ = ("dry_run", "field_manager", "field_validation", "large", "user", "warnings")

    def __init__(
        self, user: User, *, dry_run: bool = False, field_manager: str = "", field_validation: str = "Ignore"
    ) -> None:
        self.user = user
        self.dry_run = dry_run
        self.field_manager = field_manager
        self.field_validation = field_validation
        self.large = False
        self.warnings: list[str] = []


class Stored(NamedTuple):
    """One object as an answer. `value` is JSON with its resourceVersion, to be sent as it is."""

    value: bytes
    revision: int
    #: The object, when it was at hand anyway, with its resourceVersion.
    obj: Any = None
    #: Whether the object is gone by now (`value` is its last state).
    deleted: bool = False
    #: Whether this write made the object.
    created: bool = False


class ListResult(NamedTuple):
    entries: list[Entry]
    #: The revision the list is consistent with.
    revision: int
    #: Token of the next page, or "".
    continue_: str = ""
    #: Objects behind this page; None when that is not known (a selector was given) or there are none.
    remaining: int | None = None


def versioned(obj: Object, revision: int) -> Object:
    """The object with the version it was stored at."""
    metadata = msgspec.structs.replace(obj.metadata, resource_version=str(revision))
    return msgspec.structs.replace(obj, metadata=metadata)
