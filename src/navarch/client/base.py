# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way scheduler, controllers, kubelet and network see the cluster. Transports: `local` (in process),
`http`.

Kinds are named by their struct type (`Pod`); `view=` decodes into a smaller struct that declares only the
fields its reader needs
(same wire names), which costs a fraction of the time and memory. All failures are `StatusError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Generic, Literal, Protocol, TypeVar, overload

import msgspec

from navarch.api.authentication.tokenreview import TokenRequest
from navarch.api.machinery.meta import Object, Preconditions

T = TypeVar("T", bound=Object)
V = TypeVar("V")

PatchType = Literal["merge", "json", "strategic"]
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class Listing(msgspec.Struct, Generic[V], frozen=True):
    items: list[V]
    #: Where a watch goes on from.
    resource_version: str


class WatchEvent(msgspec.Struct, Generic[V], frozen=True, gc=False):
    """A change. A BOOKMARK has no object, only the version reached."""

    type: EventType
    object: V | None
    resource_version: str


class Watch(Protocol[V]):
    """An open watch. Iterating yields batches (one or more events, in order); it ends when the server ends
    it.

    Raises StatusError 410 when the version is too old or the watcher too slow: list again.
    """

    def __aiter__(self) -> AsyncIterator[list[WatchEvent[V]]]: ...

    async def close(self) -> None: ...


class Client(Protocol):
    @overload
    async def get(self, kind: type[T], name: str, namespace: str | None = None) -> T: ...
    @overload
    async def get(self, kind: type[T], name: str, namespace: str | None = None, *, view: type[V]) -> V: ...

    @overload
    async def list(
        self, kind: type[T], namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Listing[T]: ...
    @overload
    async def list(
        self,
        kind: type[T],
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        view: type[V],
    ) -> Listing[V]:
        """All objects of a namespace, or of all namespaces (None). labels, fields: selectors as on the
        wire."""

    @overload
    async def watch(
        self, kind: type[T], namespace: str | None = None, *, since: str, labels: str = "", fields: str = ""
    ) -> Watch[T]: ...
    @overload
    async def watch(
        self,
        kind: type[T],
        namespace: str | None = None,
        *,
        since: str,
        labels: str = "",
        fields: str = "",
        view: type[V],
    ) -> Watch[V]: ...

    async def create(self, obj: T, namespace: str | None = None) -> T:
        """Returns the object as stored. namespace: where it goes when its metadata does not say."""

    async def update(self, obj: T, *, subresource: str = "") -> T:
        """Replace; compare-and-swap when metadata.resourceVersion is set. subresource: "" or "status" and
        the like."""

    async def patch(
        self,
        kind: type[T],
        name: str,
        namespace: str | None,
        body: Any,
        *,
        type: PatchType = "merge",
        subresource: str = "",
    ) -> T:
        """body: a JSON-able object (a list of operations for type "json")."""

    async def delete(
        self,
        kind: type[T],
        name: str,
        namespace: str | None = None,
        *,
        grace: int | None = None,
        preconditions: Preconditions | None = None,
        propagation: str | None = None,
    ) -> None: ...

    async def create_token(self, request: TokenRequest) -> TokenRequest:
        """A token of the service account that the request's metadata names (serviceaccounts/token)."""

    async def bind(self, name: str, namespace: str, node: str, *, uid: str | None = None) -> None:
        """Give a pod its node (pods/binding). 409 when it has one or the uid differs."""

    async def close(self) -> None: ...
