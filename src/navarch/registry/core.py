# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verbs share: each kind at work (cache, rules, admission plugins) and the store behind them.

Not here: the verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, get_args, get_type_hints

import msgspec

from navarch.api.machinery import names
from navarch.api.machinery.errors import (
    StatusError,
    TooManyErrors,
    internal,
    invalid_object,
    not_found,
    storage_read_error,
    unavailable,
)
from navarch.api.machinery.scheme import Kind, Scheme
from navarch.registry.admission import Admission, Operation, Request
from navarch.registry.context import versioned
from navarch.store import base as store
from navarch.store.cache import Cache, Entry, Row, Unreadable
from navarch.store.window import History

#: Seconds that writes share one lease of the store.
SHARED_SECONDS = 60.0


class Resource:
    """One kind at work."""

    def __init__(
        self,
        kind: Kind[Any],
        cache: Cache,
        admission: Sequence[Admission],
        damaged: Mapping[str, store.Damage],
    ) -> None:
        """damaged: keys whose stored objects cannot be read."""
        self._damaged = damaged
        self.kind = kind
        self.cache = cache
        self.rules = kind.rules
        # Through the class: a function assigned in a class body is meant as it is, not as a method.
        self.name_rule: Callable[[str], str | None] = (
            vars(kind.rules).get("name_rule") or type(kind.rules).name_rule or names.subdomain
        )
        #: Whether metadata.generation counts: where the status can say which generation it is about.
        self.counts = _observes(kind.type)
        operations: tuple[Operation, ...] = ("CREATE", "UPDATE", "DELETE", "CONNECT")
        self._mutators: dict[Operation, list[Callable[[Request], Any]]] = {}
        self._validators: dict[Operation, list[Callable[[Request], None]]] = {}
        for operation in operations:
            plugins = [p for p in admission if p.handles(kind, operation)]
            self._mutators[operation] = [p.mutate for p in plugins if type(p).mutate is not Admission.mutate]
            self._validators[operation] = [
                p.validate for p in plugins if type(p).validate is not Admission.validate
            ]

    def mutate(self, request: Request) -> Any:
        """Raises StatusError."""
        try:
            for call in self._mutators[request.operation]:
                request.obj = call(request)
        except TooManyErrors as many:
            raise self.invalid(request.name, many.errors) from None
        return request.obj

    def validate(self, request: Request) -> None:
        for call in self._validators[request.operation]:
            call(request)

    def entry(self, namespace: str | None, name: str) -> Entry:
        """Raises StatusError 404, 500 when it is stored and cannot be read."""
        entry = self.cache.get(self.kind.key(namespace, name))
        if entry is None:
            raise self.absent(namespace, name)
        return entry

    def absent(self, namespace: str | None, name: str) -> StatusError:
        """Why the cache has no such object. Only a 404 says that there is none: collectors rely on it."""
        damage = self._damaged.get(self.kind.key(namespace, name))
        if damage is None:
            return not_found(self.kind.resource, name, self.kind.group)
        return storage_read_error(self.kind.resource, name, self.kind.group, damage.why)

    def object(self, entry: Entry) -> Any:
        """The object of an entry, with its resourceVersion. Shared: objects are frozen.

        Raises StatusError 500 for bytes that are no such object.
        """
        hint: Any = entry.hint
        if type(hint) is self.kind.type:
            if hint.metadata.resource_version == str(entry.revision):
                return hint
            return versioned(hint, entry.revision)
        try:
            return self.kind.decoder.decode(entry.value)
        except msgspec.DecodeError as exc:
            raise internal(f"{entry.key} cannot be read from the store: {exc}") from exc

    def invalid(self, name: str | None, errors: Sequence[Any]) -> StatusError:
        return invalid_object(self.kind.kind, name or "", errors, self.kind.group)


def _observes(kind: type[Any]) -> bool:
    status = get_type_hints(kind).get("status")
    structs = [
        t for t in (status, *get_args(status)) if isinstance(t, type) and issubclass(t, msgspec.Struct)
    ]
    return any("observed_generation" in struct.__struct_fields__ for struct in structs)


def indexer(kind: Kind[Any]) -> Callable[[bytes, object], Row]:
    """How a kind's cache finds labels and selectable fields of an object."""
    readers = tuple(kind.fields.items())
    wanted = kind.type

    def index(value: bytes, hint: object) -> Row:
        obj: Any = hint if type(hint) is wanted else read(kind, value)
        return Row(obj.metadata.labels, {path: field(obj) for path, field in readers} if readers else None)

    return index


def read(kind: Kind[Any], value: bytes) -> Any:
    """A stored object. Raises Unreadable."""
    if not value.startswith(kind.head):
        raise Unreadable(f"it is no {kind.kind} of {kind.api_version}")
    try:
        return kind.decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Unreadable(f"it cannot be decoded: {exc}") from exc


class Core:
    """The store, the kinds at work, and the admission plugins."""

    def __init__(
        self,
        store: store.Store,
        scheme: Scheme,
        admission: Sequence[Admission],
        window: int,
        history: History | None = None,
    ) -> None:
        self.store = store
        self.scheme = scheme
        self._admission = tuple(admission)
        self._window = window
        self._history = history if history is not None else History()
        self._resources: dict[Kind[Any], Resource] = {}
        #: By time to live: a lease that is shared by what is written in the same minute, and until when.
        self._leases: dict[float, tuple[int, float]] = {}

    async def start(self) -> None:
        """Fill the caches, then start the plugins."""
        for kind in self.scheme:
            if kind.stored:
                cache = Cache(
                    self.store,
                    kind.root,
                    index=indexer(kind),
                    splice=kind.splice,
                    window=self._window,
                    history=self._history,
                )
                self._resources[kind] = Resource(kind, cache, self._admission, self.store.damaged)
        self.store.recall = self._recall
        for resource in self._resources.values():
            await resource.cache.start()
        for plugin in self._admission:
            await plugin.start(self)

    async def close(self) -> None:
        for plugin in self._admission:
            plugin.close()
        for resource in self._resources.values():
            await resource.cache.close()

    def _recall(self, key: str, revision: int) -> bytes | None:
        """The stored bytes of an object that the cache has at this revision."""
        for kind, resource in self._resources.items():
            if key.startswith(kind.root):
                entry = resource.cache.get(key)
                if entry is None or entry.revision != revision:
                    return None
                return kind.unsplice(entry.value, revision)
        return None

    def resource(self, kind: Kind[Any]) -> Resource:
        try:
            return self._resources[kind]
        except KeyError:
            raise internal(f"{kind.full_resource} is not stored here") from None

    def named(self, group: str, version: str, resource: str) -> Resource | None:
        kind = self.scheme.resource(group, version, resource)
        return self._resources.get(kind) if kind is not None else None

    def find(self, group: str, version: str, resource: str, namespace: str | None, name: str) -> Any:
        """An object that another one's admission depends on, or None.

        Raises StatusError 500 when it is stored and cannot be read.
        """
        at = self.named(group, version, resource)
        if at is None:
            return None
        entry = at.cache.get(at.kind.key(namespace, name))
        if entry is not None:
            return at.object(entry)
        absent = at.absent(namespace, name)
        if absent.code != 404:
            raise absent
        return None

    async def lease(self, ttl: float) -> int:
        """A lease after which an object goes by itself; `ttl` seconds from now, up to a minute more."""
        lease, until = self._leases.get(ttl, (0, 0.0))
        present = monotonic()
        if present >= until:
            try:
                lease = await self.store.grant(ttl + SHARED_SECONDS)
            except store.Unavailable as exc:
                raise refused(exc) from exc
            self._leases[ttl] = (lease, present + SHARED_SECONDS)
        return lease


def refused(exc: store.StoreError) -> StatusError:
    """A store that cannot take the request now, as the API says it."""
    return unavailable(f"the store cannot take the request now: {exc}")
