# SPDX-License-Identifier: GPL-3.0-or-later
"""create, update and patch of any kind, with subresources that are part of the object (status and the like).

The way of a write: default, mutating admission, prepare, validate, validating admission, encode once,
compare-and-swap. Of large objects all that is a pure function goes to a thread; admission is then asked
again, because what it saw may have changed. The object goes along as the store's `hint`, so that nobody in
this process decodes what was just encoded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from navarch.api.machinery.errors import (
    StatusError,
    already_exists,
    bad_request,
    conflict,
    gather,
    invalid,
    invalid_object,
    method_not_allowed,
    not_found,
    object_too_large,
)
from navarch.api.machinery.meta import ManagedFieldsEntry
from navarch.api.machinery.scheme import Kind
from navarch.registry import managed_fields, metadata
from navarch.registry.admission import Request
from navarch.registry.context import Context, Stored, versioned
from navarch.registry.core import Core, Resource, refused
from navarch.registry.lifecycle import due
from navarch.registry.offload import LARGE, offload
from navarch.registry.patching import patched
from navarch.store import base as store
from navarch.store.cache import Entry

encode = msgspec.json.Encoder().encode

#: Bytes of a stored object: what etcd takes in one request.
MAX_OBJECT = 1536 * 1024

#: Tries of a name that the server makes up.
_NAMES = 8
#: Subresources whose writer changes the status alone.
_STATUS = frozenset({"status", "approval"})

Reviewer = Callable[[Context, Any], Awaitable[Any]]
#: From the stored object to the wanted one; called again when another writer came first.
Change = Callable[[Any, Entry], Any]


class Writing:
    def __init__(self, core: Core, reviewers: dict[Kind[Any], Reviewer]) -> None:
        self._core = core
        self._reviewers = reviewers

    # Create

    async def create(
        self,
        kind: Kind[Any],
        namespace: str | None,
        obj: Any,
        ctx: Context,
        *,
        managed: list[ManagedFieldsEntry] | None = None,
    ) -> Stored:
        """managed: who manages which fields from the start (an apply); a plain create leaves that open."""
        if not kind.stored:
            return await self._review(kind, namespace, obj, ctx)
        sent = obj.metadata
        if sent.resource_version:
            raise bad_request("resourceVersion should not be set on objects to be created")
        namespace = metadata.place(sent, namespace, kind.namespaced)
        res = self._core.resource(kind)
        given, rules = obj, kind.rules
        name = sent.name or ""
        if not name and sent.generate_name:
            name = _free_name(res, namespace, sent.generate_name)
            obj = replace(obj, metadata=replace(sent, name=name))
        # Before admission: from there to the store nothing waits, so that what admission saw still holds.
        lease = await self._core.lease(res.kind.ttl) if res.kind.ttl else 0
        large = ctx.large
        obj = await offload(rules.default, obj) if large else rules.default(obj)
        request = Request("CREATE", kind, namespace, name, "", obj, None, ctx)
        try:
            defaulted = obj
            obj = rules.prepare_create(res.mutate(request))
            meta = metadata.for_create(obj.metadata, namespace, name, 1 if res.counts else None)
            if managed:
                meta = replace(meta, managed_fields=managed)
            obj = replace(obj, kind=kind.kind, api_version=kind.api_version, metadata=meta)
            if large:
                warnings = await offload(_checked, res, obj)
                request.obj = defaulted
                res.mutate(request)
            else:
                warnings = _checked(res, obj)
            request.obj = obj
            res.validate(request)
            if warnings:
                ctx.warnings += warnings
            key = kind.key(namespace, name)
            if ctx.dry_run:
                if res.cache.get(key) is not None:
                    raise already_exists(kind.resource, name, kind.group)
                obj = replace(obj, metadata=replace(meta, resource_version=None))
                return Stored(_encoded(obj), 0, obj, created=True)
            value = _encoded(obj)
            try:
                revision = await self._core.store.create(key, value, lease=lease, hint=obj)
            except store.Exists:
                if not sent.name:
                    # Somebody else took the name that was made up.
                    return await self.create(kind, namespace, given, ctx)
                raise already_exists(kind.resource, name, kind.group) from None
            except store.Damaged as exc:
                raise res.absent(namespace, name) from exc
            except store.Unavailable as exc:
                raise refused(exc) from exc
            return Stored(kind.splice(value, revision), revision, versioned(obj, revision), created=True)
        finally:
            request.close()

    async def _review(self, kind: Kind[Any], namespace: str | None, obj: Any, ctx: Context) -> Stored:
        """A kind that is not stored: a function answers."""
        reviewer = self._reviewers.get(kind)
        if reviewer is None:
            raise method_not_allowed(f"nothing in this master answers {kind.full_resource}")
        namespace = metadata.place(obj.metadata, namespace, kind.namespaced)
        if namespace:
            obj = replace(obj, metadata=replace(obj.metadata, namespace=namespace))
        obj = await offload(_question, kind, obj) if ctx.large else _question(kind, obj)
        answer = await reviewer(ctx, obj)
        answer = replace(answer, kind=kind.kind, api_version=kind.api_version)
        return Stored(encode(answer), 0, answer)

    # Update

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
        sent = obj.metadata
        if not sent.name:
            raise bad_request("the name of the object must be provided in its metadata")
        if sent.name != name:
            raise bad_request(
                f"the name of the object ({sent.name}) does not match the name on the URL ({name})"
            )
        if sent.namespace and kind.namespaced and namespace and sent.namespace != namespace:
            raise bad_request(
                f"the namespace of the object ({sent.namespace}) does not match "
                f"the namespace on the URL ({namespace})"
            )
        if sent.resource_version:
            metadata.parse_version(sent.resource_version)
        res = self._core.resource(kind)
        rules = kind.rules
        if not subresource and not sent.resource_version:
            if rules.create_on_update and res.cache.get(kind.key(namespace, name)) is None:
                return await self.create(kind, namespace, obj, ctx)
            if not rules.unconditional_update:
                why = invalid("metadata.resourceVersion", 0, "must be specified for an update")
                raise res.invalid(name, [why])
        return await self.modify(res, namespace, name, lambda old, entry: obj, ctx, subresource=subresource)

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
        res = self._core.resource(kind)

        def change(old: Any, entry: Entry) -> Any:
            return patched(kind, entry.value, body, type, ctx)

        return await self.modify(res, namespace, name, change, ctx, subresource=subresource)

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
        """Server-side apply."""
        res = self._core.resource(kind)
        manager = ctx.field_manager

        def change(old: Any, entry: Entry) -> Any:
            return managed_fields.apply_to(kind, old, body, manager, force=force, subresource=subresource)

        while True:
            if subresource or res.cache.get(kind.key(namespace, name)) is not None:
                return await self.modify(
                    res, namespace, name, change, ctx, subresource=subresource, applies=True
                )
            if ctx.large:
                made = await offload(managed_fields.apply_to, kind, None, body, manager)
            else:
                made = managed_fields.apply_to(kind, None, body, manager)
            try:
                return await self.create(kind, namespace, made, ctx, managed=made.metadata.managed_fields)
            except StatusError as error:
                # Another writer was first: it is theirs that the intent is laid over now.
                if error.reason != "AlreadyExists" or res.cache.get(kind.key(namespace, name)) is None:
                    raise

    async def modify(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        change: Change,
        ctx: Context,
        *,
        subresource: str = "",
        applies: bool = False,
    ) -> Stored:
        """Apply `change` to the stored object until it meets no other writer.

        applies: the changed object says itself who manages its fields.

        When the changed object carries a resourceVersion, it must be that of the stored one: another writer
        then means 409.
        """
        kind = res.kind
        if subresource and subresource not in kind.subresources:
            raise not_found(kind.resource, f"{name}/{subresource}", kind.group)
        while True:
            entry = res.entry(namespace, name)
            old = res.object(entry)
            large = ctx.large or len(entry.value) > LARGE
            new = await offload(change, old, entry) if large else change(old, entry)
            requested = new.metadata.resource_version
            if requested and requested != "0" and metadata.parse_version(requested) != entry.revision:
                raise conflict(kind.resource, name, metadata.MODIFIED, kind.group)
            uid = new.metadata.uid
            if uid and uid != old.metadata.uid:
                why = metadata.precondition_failed("UID", uid, old.metadata.uid or "")
                raise conflict(kind.resource, name, why, kind.group)
            request = Request("UPDATE", kind, namespace, name, subresource, new, old, ctx)
            try:
                return await self._replace(res, entry, request, applies, large)
            except (store.Conflict, store.Missing):
                continue  # The cache has the winner's state by now: the next round sees it.
            except store.Unavailable as exc:
                raise refused(exc) from exc
            finally:
                request.close()

    async def _replace(
        self, res: Resource, entry: Entry, request: Request, applies: bool, large: bool
    ) -> Stored:
        kind, old = res.kind, request.old
        if request.subresource == "finalize":
            new = _finalize(res, request)
        else:
            if request.subresource and request.subresource not in _STATUS:
                raise method_not_allowed(f"{kind.resource}/{request.subresource} cannot be updated")
            finish = _status if request.subresource else _main
            if large:
                defaulted = await offload(res.rules.default, request.obj)
                request.obj = defaulted
                new = await offload(finish, res, res.mutate(request), old)
                request.obj = defaulted
                res.mutate(request)
            else:
                request.obj = res.rules.default(request.obj)
                new = finish(res, res.mutate(request), old)
        if new.metadata.managed_fields and not applies:
            by = request.ctx.field_manager
            arguments = (kind, old, new, by, request.subresource)
            entries = (
                await offload(managed_fields.after_update, *arguments)
                if large
                else managed_fields.after_update(*arguments)
            )
            new = managed_fields.stamped(new, entries)
        request.obj = new
        res.validate(request)
        if not request.subresource and (warnings := res.rules.warnings(new)):
            request.ctx.warnings += warnings
        value = _encoded(new, len(entry.value))
        revision = entry.revision
        unchanged = kind.splice(value, revision) == entry.value
        if old.metadata.deletion_timestamp and due(kind, new):
            if not request.ctx.dry_run:
                revision = await self._core.store.delete(entry.key, expected=revision)
            return Stored(kind.splice(value, revision), revision, versioned(new, revision), True)
        if unchanged:
            return Stored(entry.value, revision, old)
        if not request.ctx.dry_run:
            durable = kind.volatile is None or not kind.volatile(new)
            lease = await self._core.lease(res.kind.ttl) if res.kind.ttl else 0
            revision = await self._core.store.update(
                entry.key, value, expected=revision, lease=lease, durable=durable, hint=new
            )
        return Stored(kind.splice(value, revision), revision, versioned(new, revision))


def _free_name(res: Resource, namespace: str | None, base: str) -> str:
    for _ in range(_NAMES):
        name = metadata.generate(base)
        if res.cache.get(res.kind.key(namespace, name)) is None:
            break
    return name


def _encoded(obj: Any, before: int = 0) -> bytes:
    """The bytes to store. before: size of what they replace, which may be large from of old.

    Raises StatusError 413.
    """
    value = encode(obj)
    if len(value) > max(MAX_OBJECT, before):
        raise object_too_large(len(value), MAX_OBJECT)
    return value


def _checked(res: Resource, obj: Any) -> list[str]:
    """The warnings of a new object. Raises StatusError 422."""
    meta, rules = obj.metadata, res.rules
    errors = gather(lambda: metadata.validate(meta, res.name_rule), lambda: rules.validate(obj))
    if errors:
        raise res.invalid(meta.name, errors)
    return rules.warnings(obj)


def _question(kind: Kind[Any], obj: Any) -> Any:
    """A valid object of a kind that is not stored. Raises StatusError 422."""
    rules = kind.rules
    obj = rules.prepare_create(rules.default(obj))
    if errors := gather(lambda: rules.validate(obj)):
        raise invalid_object(kind.kind, obj.metadata.name or "", errors, kind.group)
    return obj


def _main(res: Resource, new: Any, old: Any) -> Any:
    """The object that an update of the main resource leads to. Raises StatusError 422."""
    kind, rules = res.kind, res.rules
    meta = metadata.for_update(new.metadata, old.metadata)
    new = replace(new, kind=kind.kind, api_version=kind.api_version, metadata=meta)
    new = rules.prepare_update(new, old)
    if res.counts and rules.spec_changed(new, old):
        meta = replace(meta, generation=(old.metadata.generation or 0) + 1)
        new = replace(new, metadata=meta)
    errors = gather(
        lambda: metadata.validate(meta, res.name_rule),
        lambda: metadata.validate_update(meta, old.metadata),
        lambda: rules.validate(new),
        lambda: rules.validate_update(new, old),
    )
    if errors:
        raise res.invalid(meta.name, errors)
    return new


def _finalize(res: Resource, request: Request) -> Any:
    """Namespaces: only the list of what still holds them (API reference, Namespace finalize)."""
    kind, old = res.kind, request.old
    managed = managed_fields.carried(request.obj.metadata, old.metadata)
    meta = replace(old.metadata, resource_version="", managed_fields=managed)
    spec = replace(old.spec, finalizers=request.obj.spec.finalizers if request.obj.spec else None)
    new = replace(old, kind=kind.kind, api_version=kind.api_version, metadata=meta, spec=spec)
    if errors := gather(lambda: res.rules.validate(new)):
        raise res.invalid(meta.name, errors)
    return new


def _status(res: Resource, new: Any, old: Any) -> Any:
    """The object that a write of a subresource leads to: the status and, as in the reference, the metadata (a
    load balancer's controller takes hold of a service that way); the rest of it stays as it is.
    """
    kind, rules = res.kind, res.rules
    meta = metadata.for_update(new.metadata, old.metadata)
    new = replace(new, kind=kind.kind, api_version=kind.api_version, metadata=meta)
    new = rules.prepare_status(new, old)
    errors = gather(
        lambda: metadata.validate(new.metadata, res.name_rule),
        lambda: metadata.validate_update(new.metadata, old.metadata),
        lambda: rules.validate_status(new, old),
    )
    if errors:
        raise res.invalid(meta.name, errors)
    return new
