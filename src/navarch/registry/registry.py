# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry: every verb on every kind, for the HTTP server and for clients in this process.

A facade; how a verb works is in `writing`, `deletion`, `reading`, `pods` and `scale`. Reads are plain
functions (they come from the watch cache), writes are awaited until they are durable. All failures are
StatusError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from navarch.api.core.binding import BINDING
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import DeleteOptions, ObjectMeta
from navarch.api.machinery.scheme import Kind, Scheme
from navarch.auth.user import SYSTEM
from navarch.registry.admission import Admission
from navarch.registry.admission.namespace_lifecycle import IMMORTAL
from navarch.registry.context import Context, ListResult, Stored
from navarch.registry.core import Core
from navarch.registry.deletion import Deletion
from navarch.registry.pods import Pods
from navarch.registry.query import Query
from navarch.registry.reading import Reading, Watching
from navarch.registry.writing import Reviewer, Writing
from navarch.store.base import Store
from navarch.store.cache import Entry
from navarch.store.window import History


class Registry:
    def __init__(
        self,
        store: Store,
        scheme: Scheme,
        *,
        admission: Sequence[Admission] = (),
        window: int = 10_000,
        history: History | None = None,
    ) -> None:
        """store: started, and closed by its maker. admission: plugins, in their order.
        window: changes of each kind that are kept for watches to resume, at most. history: how much of the
        past is kept in all.
        """
        self.store = store
        self.scheme = scheme
        #: What answers the kinds that are not stored (`stored=False`).
        self.reviewers: dict[Kind[Any], Reviewer] = {}
        self._core = Core(store, scheme, admission, window, history)
        self._reading = Reading(self._core)
        self._writing = Writing(self._core, self.reviewers)
        self._deletion = Deletion(self._core)
        self._pods = Pods(self._core, self._deletion)
        self.reviewers[BINDING] = self._bind_posted

    async def start(self) -> None:
        """Fill the caches and make the namespaces that always exist."""
        await self._core.start()
        namespaces = self._core.named("", "v1", "namespaces")
        if namespaces is None:
            return
        kind = namespaces.kind
        for name in IMMORTAL:
            if namespaces.cache.get(kind.key(None, name)) is None and (
                kind.key(None, name) not in self.store.damaged
            ):
                await self.create(kind, None, kind.type(metadata=ObjectMeta(name=name)), Context(SYSTEM))

    async def _bind_posted(self, ctx: Context, binding: Any) -> Any:
        """A Binding posted to the namespace instead of to the pod's subresource (the older way)."""
        await self._pods.bind(binding.metadata.namespace, binding.metadata.name, binding, ctx)
        return binding

    async def close(self) -> None:
        """End all watches. Idempotent."""
        self._reading.close()
        await self._core.close()

    # Reads

    def entry(self, kind: Kind[Any], namespace: str | None, name: str) -> Entry:
        """Raises StatusError 404, 500 for an object that is stored and cannot be read."""
        return self._core.resource(kind).entry(namespace, name)

    def get(self, kind: Kind[Any], namespace: str | None, name: str, ctx: Context) -> Stored:
        """Raises StatusError as `entry`."""
        entry = self.entry(kind, namespace, name)
        return Stored(entry.value, entry.revision, entry.hint)

    def exists(self, kind: Kind[Any], namespace: str | None, name: str) -> bool:
        """Raises StatusError 500 for an object that is stored and cannot be read."""
        try:
            self.entry(kind, namespace, name)
        except StatusError as error:
            if error.code != 404:
                raise
            return False
        return True

    def object(self, kind: Kind[Any], entry: Entry) -> Any:
        """The object of an entry, with its resourceVersion; shared, frozen."""
        return self._core.resource(kind).object(entry)

    def list(self, kind: Kind[Any], query: Query, ctx: Context) -> ListResult:
        """Raises StatusError 400, 410 (page token or exact version expired), 504 (version not reached)."""
        return self._reading.list(kind, query)

    def watch(self, kind: Kind[Any], query: Query, ctx: Context) -> Watching:
        """Raises StatusError 400, 410, 504."""
        return self._reading.watch(kind, query)

    def pin(self, kind: Kind[Any], entries: Sequence[Entry], drop: Callable[[], Any]) -> Callable[[], None]:
        """Say that entries of a list are held while they are sent. `drop` is called when what was replaced
        meanwhile takes too much memory. Returns what ends it.
        """
        cache = self._core.resource(kind).cache
        pin = cache.pin(entries, drop)
        return lambda: cache.unpin(pin)

    # Writes

    async def create(self, kind: Kind[Any], namespace: str | None, obj: Any, ctx: Context) -> Stored:
        """A kind that is not stored is answered. Raises StatusError 400, 403, 404 (no such namespace), 409,
        422."""
        return await self._writing.create(kind, namespace, obj, ctx)

    async def update(
        self,
        kind: Kind[Any],
        namespace: str | None,
        name: str,
        obj: Any,
        ctx: Context,
        *,
        subresource: str = "",
    ) -> Stored:
        """Replace; compare-and-swap when the object has a resourceVersion.

        Raises StatusError 400, 403, 404, 409, 422.
        """
        return await self._writing.update(kind, namespace, name, obj, ctx, subresource=subresource)

    async def patch(
        self,
        kind: Kind[Any],
        namespace: str | None,
        name: str,
        body: Any,
        type: str,
        ctx: Context,
        *,
        subresource: str = "",
    ) -> Stored:
        """type: "merge", "json" or "strategic"; body: the generic document of the patch."""
        return await self._writing.patch(kind, namespace, name, body, type, ctx, subresource=subresource)

    async def apply(
        self,
        kind: Kind[Any],
        namespace: str | None,
        name: str,
        body: dict[str, Any],
        ctx: Context,
        *,
        force: bool = False,
        subresource: str = "",
    ) -> Stored:
        """Server-side apply of `ctx.field_manager`'s whole intent.

        Raises StatusError 400, 403, 404, 409 (fields of others would change; another version), 422.
        """
        return await self._writing.apply(
            kind, namespace, name, body, ctx, force=force, subresource=subresource
        )

    async def delete(
        self, kind: Kind[Any], namespace: str | None, name: str, options: DeleteOptions | None, ctx: Context
    ) -> Stored:
        """`deleted` says whether the object is gone or only marked. Raises StatusError 403, 404, 409, 422."""
        return await self._deletion.delete(kind, namespace, name, options or DeleteOptions(), ctx)

    async def delete_collection(
        self, kind: Kind[Any], query: Query, options: DeleteOptions | None, ctx: Context
    ) -> ListResult:
        """Delete what the selectors select. Returns the objects as they were."""
        revision = self._core.resource(kind).cache.revision
        entries = self._reading.select(kind, query)
        await self._deletion.delete_all(kind, entries, options or DeleteOptions(), ctx)
        return ListResult(entries, revision)

    # Pods

    async def bind(self, namespace: str | None, name: str, binding: Any, ctx: Context) -> Stored:
        """Create a v1 Binding. Raises StatusError 404, 409 (it has a node already, or another uid), 422."""
        return await self._pods.bind(namespace, name, binding, ctx)

    async def assign(
        self, namespace: str | None, name: str, node: str, ctx: Context, *, uid: str | None = None
    ) -> Stored:
        """bind without a Binding."""
        return await self._pods.assign(namespace, name, node, ctx, uid=uid)

    async def evict(self, namespace: str | None, name: str, eviction: Any, ctx: Context) -> Stored:
        """Create a policy/v1 Eviction."""
        return await self._pods.evict(namespace, name, eviction, ctx)
