# SPDX-License-Identifier: GPL-3.0-or-later
"""delete and deletecollection: mark what must still end by itself, remove the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from navarch.api.machinery.errors import StatusError, conflict
from navarch.api.machinery.meta import DeleteOptions, Preconditions
from navarch.api.machinery.scheme import Kind
from navarch.registry import lifecycle, metadata
from navarch.registry.admission import Request
from navarch.registry.context import Context, Stored, versioned
from navarch.registry.core import Core, Resource, refused
from navarch.store import base as store
from navarch.store.cache import Entry

_encode = msgspec.json.Encoder().encode

#: Deletions of a collection that are under way at once: enough to share commits.
_AT_ONCE = 64


class Deletion:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def delete(
        self,
        kind: Kind[Any],
        namespace: str | None,
        name: str,
        options: DeleteOptions,
        ctx: Context,
        *,
        says: Callable[[Any], Any] = lambda obj: obj,
    ) -> Stored:
        """Mark the object for deletion, or remove it when nothing holds it. `says` writes into it why, by the
        same write."""
        lifecycle.check_options(options)
        dry = ctx.dry_run or bool(options.dry_run)
        res = self._core.resource(kind)
        while True:
            try:
                entry = res.entry(namespace, name)
            except StatusError as error:
                if not options.ignore_store_read_error_with_cluster_breaking_potential or error.code == 404:
                    raise
                return await self._drop(res, namespace, name, dry)
            old = res.object(entry)
            if options.preconditions is not None:
                _check(kind, name, options.preconditions, old)
            request = Request("DELETE", kind, namespace, name, "", None, old, ctx)
            try:
                res.validate(request)
                return await self._delete(res, entry, old, says(old), options, dry)
            except (store.Conflict, store.Missing):
                continue  # Another writer came first; the cache has its state by now.
            except store.Unavailable as exc:
                raise refused(exc) from exc
            finally:
                request.close()

    async def _drop(self, res: Resource, namespace: str | None, name: str, dry: bool) -> Stored:
        """Delete an object that cannot be read: no finalizer and no grace period of it is known."""
        try:
            revision = 0 if dry else await self._core.store.drop(res.kind.key(namespace, name))
        except store.Missing:
            raise res.absent(namespace, name) from None
        except store.Unavailable as exc:
            raise refused(exc) from exc
        return Stored(b"", revision, None, deleted=True)

    async def _delete(
        self, res: Resource, entry: Entry, old: Any, last: Any, options: DeleteOptions, dry: bool
    ) -> Stored:
        kind = res.kind
        first = old.metadata.deletion_timestamp is None
        grace = res.rules.grace_period(old, options.grace_period_seconds) if first else 0
        meta = lifecycle.mark(old.metadata, options, grace, orphans=res.rules.orphans)
        meta = replace(meta, resource_version="")
        new = replace(last, kind=kind.kind, api_version=kind.api_version, metadata=meta)
        if first:
            new = lifecycle.terminating(kind, new)
        revision = entry.revision
        if lifecycle.due(kind, new):
            if not dry:
                revision = await self._core.store.delete(entry.key, expected=revision)
            return Stored(kind.splice(_encode(new), revision), revision, versioned(new, revision), True)
        value = _encode(new)
        if kind.splice(value, revision) == entry.value:
            return Stored(entry.value, revision, old)
        if not dry:
            revision = await self._core.store.update(entry.key, value, expected=revision, hint=new)
        return Stored(kind.splice(value, revision), revision, versioned(new, revision))

    async def delete_all(
        self, kind: Kind[Any], entries: list[Entry], options: DeleteOptions, ctx: Context
    ) -> None:
        """Delete the objects of these entries; those that are gone meanwhile are no failure."""
        at = len(kind.root)

        async def one(entry: Entry) -> None:
            namespace, _, name = entry.key[at:].rpartition("/")
            try:
                await self.delete(kind, namespace or None, name, options, ctx)
            except StatusError as exc:
                if exc.code != 404:
                    raise

        for i in range(0, len(entries), _AT_ONCE):
            found = await asyncio.gather(*map(one, entries[i : i + _AT_ONCE]), return_exceptions=True)
            for failure in found:
                if isinstance(failure, BaseException):
                    raise failure


def _check(kind: Kind[Any], name: str, requested: Preconditions, obj: Any) -> None:
    """Raises StatusError 409."""
    meta = obj.metadata
    if requested.uid is not None and requested.uid != meta.uid:
        why = metadata.precondition_failed("UID", requested.uid, meta.uid or "")
        raise conflict(kind.resource, name, why, kind.group)
    if requested.resource_version is not None and requested.resource_version != meta.resource_version:
        why = metadata.precondition_failed(
            "ResourceVersion", requested.resource_version, meta.resource_version or ""
        )
        raise conflict(kind.resource, name, why, kind.group)
