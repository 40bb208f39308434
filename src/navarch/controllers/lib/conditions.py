# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions of a status: one a type, whose transition time changes only with its status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec.structs import replace


class HasCondition(Protocol):
    @property
    def type(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def last_transition_time(self) -> str | None: ...


C = TypeVar("C", bound=HasCondition)


def find(conditions: Sequence[C] | None, type: str) -> C | None:
    return next((condition for condition in conditions or () if condition.type == type), None)


def without(conditions: Sequence[C] | None, type: str) -> list[C]:
    return [condition for condition in conditions or () if condition.type != type]


def put(conditions: Sequence[C] | None, new: C) -> list[C]:
    """With the condition. One of the same status and reason stays as it was; one of the same status keeps its
    transition time.
    """
    old = find(conditions, new.type)
    if old is not None and old.status == new.status:
        if old.reason == new.reason:
            return list(conditions or ())
        new = replace(new, last_transition_time=old.last_transition_time)  # type: ignore[type-var] # a struct
    return [*without(conditions, new.type), new]
