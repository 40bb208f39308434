# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of kinds. A kind's file declares its types, its `Rules` and one module-level `Kind`.

Discovery, OpenAPI, tables, selectors, watch and patch follow from this declaration. The kinds that Navarch
serves are collected in `navarch.api.builtin`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from navarch.api.machinery import decoders
from navarch.api.machinery.errors import FieldError
from navarch.api.machinery.meta import Object

T = TypeVar("T", bound=Object)

_encode = msgspec.json.Encoder().encode
_replace = msgspec.structs.replace

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Column(msgspec.Struct, frozen=True):
    """One column of `kubectl get`. priority > 0 shows only with -o wide."""

    name: str
    type: str = "string"
    description: str = ""
    priority: int = 0
    format: str = ""


class Rules(Generic[T]):
    """The rules of one kind. Pure functions of objects: no clock but `meta.now()`, no client, no store.

    The registry calls, on create: default, prepare_create, validate; on update: default, prepare_update,
    validate, validate_update;
    on a status update: prepare_status, validate_status. Generic metadata (name, labels, immutability of uid,
    ...) is the
    registry's own business.
    """

    #: A function of a name that returns what is wrong with it, or None. None: `names.subdomain`.
    name_rule: Callable[[str], str | None] | None = None
    #: Whether an update to a missing object creates it.
    create_on_update = False
    #: Whether an update need not say which version it is of.
    unconditional_update = True
    #: Whether dependents stay when a deletion does not say what becomes of them.
    orphans = False

    def default(self, obj: T) -> T:
        """Fill what was not sent, canonicalise quantities. Must be idempotent."""
        return obj

    def prepare_create(self, obj: T) -> T:
        """Drop what a creator may not set (status)."""
        return obj

    def validate(self, obj: T) -> list[FieldError]:
        return []

    def prepare_update(self, new: T, old: T) -> T:
        """Carry over what an update of the main resource may not change (status)."""
        return new

    def validate_update(self, new: T, old: T) -> list[FieldError]:
        return []

    def spec_changed(self, new: T, old: T) -> bool:
        """Whether `metadata.generation` counts up."""
        return getattr(new, "spec", None) != getattr(old, "spec", None)

    def prepare_status(self, new: T, old: T) -> T:
        """The old object with the new status and metadata."""
        return _replace(new, spec=getattr(old, "spec"))  # noqa: B009 - kinds with a status have a spec

    def validate_status(self, new: T, old: T) -> list[FieldError]:
        return []

    def warnings(self, obj: T) -> list[str]:
        """What the user should know (a field that is accepted but not acted on); sent as HTTP Warning
        headers."""
        return []

    def grace_period(self, obj: T, requested: int | None) -> int:
        """Seconds between a deletion and the removal of the object; 0 removes it at once."""
        return 0


class Kind(Generic[T]):
    """One resource: how it is named, encoded, listed, selected and ruled."""

    def __init__(
        self,
        type: type[T],
        *,
        resource: str,
        group: str = "",
        version: str = "v1",
        singular: str = "",
        short_names: Sequence[str] = (),
        categories: Sequence[str] = (),
        namespaced: bool = True,
        verbs: Sequence[str] = ALL_VERBS,
        subresources: Sequence[str] = (),
        columns: Sequence[Column] = (),
        cells: Callable[[T, float], list[Any]] | None = None,
        fields: Mapping[str, Callable[[T], str]] | None = None,
        rules: Rules[T] | None = None,
        volatile: Callable[[T], bool] | None = None,
        stored: bool = True,
        ttl: float | None = None,
        collected: bool = True,
        answers_deleted: bool = False,
    ) -> None:
        """columns/cells: of tables, without Name and Age when cells is None (then they are the whole table);
        cells gets the object
        and the present time in seconds since the epoch, and returns one value a column.
        fields: selectable fields beside metadata.name and metadata.namespace, wire path -> value ("" when
        absent).
        volatile: whether a write of this object is a heartbeat that may be answered before it is durable.
        stored: False for kinds that are only answered (reviews): create-only, answered by a function, never
        stored.
        ttl: seconds after which an object ends by itself.
        collected: whether the garbage collector looks at the owners of its objects.
        answers_deleted: whether a deletion answers with the object even when it is gone at once, as the
        reference's clients expect of some kinds.
        """
        self.type = type
        self.kind = type.__name__
        self.group = group
        self.version = version
        self.resource = resource
        self.singular = singular or self.kind.lower()
        self.short_names = tuple(short_names)
        self.categories = tuple(categories)
        self.namespaced = namespaced
        self.verbs = tuple(verbs)
        self.subresources = tuple(subresources)
        self.columns = tuple(columns)
        self.cells = cells
        self.fields: dict[str, Callable[[T], str]] = dict(fields or {})
        self.rules: Rules[T] = rules or Rules()
        self.volatile = volatile
        self.stored = stored
        self.ttl = ttl
        self.collected = collected
        self.answers_deleted = answers_deleted
        self.api_version = f"{group}/{version}" if group else version
        #: What error messages call it.
        self.title = f'{self.kind} in version "{version}"'
        self.root = f"/registry/{group}/{resource}/" if group else f"/registry/{resource}/"
        head = f'{{"kind":"{self.kind}","apiVersion":"{self.api_version}","metadata":{{"resourceVersion":"'
        #: Where the digits of resourceVersion go in the stored bytes.
        self.rv_offset = len(head.encode())
        #: How the stored bytes of every object begin.
        self.head = head.encode()

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[T]:
        """Made at first use: for the large kinds that takes tens of milliseconds, which starting need not
        wait for."""
        return decoders.of(self.type)

    def __repr__(self) -> str:
        return f"<Kind {self.api_version} {self.kind}>"

    @property
    def full_resource(self) -> str:
        """`pods`, `leases.coordination.k8s.io`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def key(self, namespace: str | None, name: str) -> str:
        return f"{self.root}{namespace}/{name}" if self.namespaced else self.root + name

    def prefix(self, namespace: str | None = None) -> str:
        return f"{self.root}{namespace}/" if namespace and self.namespaced else self.root

    def encode(self, obj: T) -> bytes:
        """The bytes to store: as sent to clients, but with an empty resourceVersion at `rv_offset`."""
        metadata = _replace(obj.metadata, resource_version="")
        return _encode(_replace(obj, kind=self.kind, api_version=self.api_version, metadata=metadata))

    def splice(self, value: bytes, revision: int) -> bytes:
        """Stored bytes with the revision in its place: the bytes that every client gets."""
        at = self.rv_offset
        return b"%b%d%b" % (value[:at], revision, value[at:])

    def unsplice(self, value: bytes, revision: int) -> bytes:
        """The stored bytes of what `splice` made."""
        at = self.rv_offset
        return value[:at] + value[at + len(b"%d" % revision) :]

    def decode(self, value: bytes) -> T:
        return self.decoder.decode(value)


class Scheme:
    """All kinds, found by resource, by kind and by type."""

    def __init__(self, kinds: Sequence[Kind[Any]] = ()) -> None:
        self._by_resource: dict[tuple[str, str, str], Kind[Any]] = {}
        self._by_kind: dict[tuple[str, str], Kind[Any]] = {}
        self._by_type: dict[type, Kind[Any]] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind[Any]) -> None:
        """Raises ValueError when the resource or the kind is taken."""
        place = (kind.group, kind.version, kind.resource)
        name = (kind.api_version, kind.kind)
        if place in self._by_resource or name in self._by_kind:
            raise ValueError(f"{kind!r} is registered twice")
        self._by_resource[place] = kind
        self._by_kind[name] = kind
        self._by_type[kind.type] = kind

    def __iter__(self) -> Iterator[Kind[Any]]:
        return iter(self._by_resource.values())

    def resource(self, group: str, version: str, resource: str) -> Kind[Any] | None:
        return self._by_resource.get((group, version, resource))

    def kind(self, api_version: str, kind: str) -> Kind[Any] | None:
        return self._by_kind.get((api_version, kind))

    def of(self, type: type[T]) -> Kind[T]:
        """The descriptor of a kind's struct. Raises KeyError for a struct that is no kind."""
        return self._by_type[type]

    def groups(self) -> list[tuple[str, str]]:
        """(group, version) pairs, the core group first, then by name."""
        return sorted({(k.group, k.version) for k in self})
