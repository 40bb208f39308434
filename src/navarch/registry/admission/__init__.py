# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission: rules that look beyond the object itself (its namespace, who asks, what others hold).

One file a plugin. This file holds the protocol of a plugin and its request; `standard.plugins` are those of a
master.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from navarch.api.machinery.scheme import Kind
    from navarch.registry.context import Context
    from navarch.registry.core import Core

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


class Request:
    """One write under way. `obj` is the present state of the new object (None for a deletion), `old` the
    stored one."""

    __slots__ = ("_done", "ctx", "kind", "name", "namespace", "obj", "old", "operation", "subresource")

    def __init__(
        self,
        operation: Operation,
        kind: Kind[Any],
        namespace: str | None,
        name: str,
        subresource: str,
        obj: Any,
        old: Any,
        ctx: Context,
    ) -> None:
        self.operation = operation
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.subresource = subresource
        self.obj = obj
        self.old = old
        self.ctx = ctx
        self._done: list[Callable[[], None]] | None = None

    def on_done(self, call: Callable[[], None]) -> None:
        """Call this when the write has ended, however it ended: what was reserved for it can be let go."""
        if self._done is None:
            self._done = []
        self._done.append(call)

    def close(self) -> None:
        if self._done is not None:
            for call in self._done:
                call()


class Admission:
    """Base of the plugins. Methods a plugin does not override are not called."""

    async def start(self, core: Core) -> None:
        """Called when the caches are filled, before the first request."""

    def close(self) -> None:
        """Let go of what start() took. Idempotent."""

    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        """Whether this plugin wants to see such requests at all. Asked once for each kind and operation."""
        raise NotImplementedError

    def mutate(self, request: Request) -> Any:
        """The object as it should be. Raises StatusError."""
        return request.obj

    def validate(self, request: Request) -> None:
        """Called after validation of the final object, also for deletions. Raises StatusError to refuse."""
