# SPDX-License-Identifier: GPL-3.0-or-later
"""Which dependents are an owner's.

Matching ones without a controller are adopted; own ones that do not match any more are released.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import msgspec

from navarch.api.machinery.meta import Object
from navarch.api.machinery.selectors import Selector
from navarch.client.base import Client
from navarch.controllers.lib.errors import ignore
from navarch.controllers.lib.owners import controller_reference


class Dependent(Protocol):
    @property
    def metadata(self) -> Any: ...


D = TypeVar("D", bound=Dependent)


async def claim(
    client: Client,
    owner: Object,
    kind: type[Object],
    selector: Selector,
    *,
    owned: Iterable[D],
    orphans: Callable[[], Iterable[D]],
) -> list[D]:
    """The dependents of `kind` that the owner has after this.

    owned: those it controls. orphans: those of its namespace without a controller, asked for only when the
    owner may adopt: an owner that is being deleted adopts and releases nothing.
    """
    if owner.metadata.deletion_timestamp:
        return list(owned)
    kept = []
    for dependent in owned:
        meta = dependent.metadata
        if selector.matches(meta.labels) or meta.deletion_timestamp:
            kept.append(dependent)
        else:
            rest = [o for o in meta.owner_references or () if o.uid != owner.metadata.uid]
            await _set_owners(client, kind, dependent, [_plain(o) for o in rest])
    adoptable = [
        dependent
        for dependent in orphans()
        if not dependent.metadata.deletion_timestamp and selector.matches(dependent.metadata.labels)
    ]
    if adoptable and await _still_there(client, owner):
        for dependent in adoptable:
            owners = [_plain(o) for o in dependent.metadata.owner_references or ()]
            await _set_owners(
                client, kind, dependent, [*owners, msgspec.to_builtins(controller_reference(owner))]
            )
            kept.append(dependent)
    return kept


async def _still_there(client: Client, owner: Object) -> bool:
    """Asked of the server: an informer that lags would have an owner adopt after its end, for ever."""
    meta = owner.metadata
    with ignore(404):
        fresh = await client.get(type(owner), meta.name or "", meta.namespace)
        return fresh.metadata.uid == meta.uid and not fresh.metadata.deletion_timestamp
    return False


async def _set_owners(client: Client, kind: type[Object], dependent: Dependent, owners: list[Any]) -> None:
    meta = dependent.metadata
    body = {"metadata": {"uid": meta.uid, "ownerReferences": owners or None}}
    with ignore(404, 409):
        await client.patch(kind, meta.name, meta.namespace, body)


def _plain(owner: Any) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(owner)
    return {key: value for key, value in plain.items() if value is not None}
