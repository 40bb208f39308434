# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs on stored objects, from HTTP to the registry and back: get, list, create, update, patch, delete,
deletecollection.

Not here: watches (`watching`), subresources that are no part of the object (`subresources`), who may (the
server asked before).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from navarch.api.machinery import decode, errors, selectors, strict
from navarch.api.machinery.errors import forbidden, required
from navarch.api.machinery.meta import DeleteOptions
from navarch.api.machinery.scheme import Kind
from navarch.apiserver import negotiate, streams, tables
from navarch.apiserver.request import Reply, Request
from navarch.apiserver.route import Options, Target
from navarch.registry.context import Context, ListResult, Stored
from navarch.registry.offload import LARGE, offload
from navarch.registry.query import Query
from navarch.registry.registry import Registry
from navarch.store.cache import Entry

#: The one patch in YAML (which JSON is too).
_APPLY = "application/apply-patch+yaml"
_PATCH_TYPES = {
    _APPLY: "apply",
    "application/merge-patch+json": "merge",
    "application/json-patch+json": "json",
    "application/strategic-merge-patch+json": "strategic",
}

S = TypeVar("S", bound=msgspec.Struct)

_encode = msgspec.json.encode


def context(x: Request, options: Options) -> Context:
    """The registry's view of a request. Its warnings are the answer's."""
    assert x.user is not None
    ctx = Context(
        x.user,
        dry_run=options.dry_run,
        field_manager=options.field_manager,
        field_validation=options.field_validation,
    )
    x.warnings = ctx.warnings
    return ctx


#: May this request's user do that verb too? Raises StatusError 403.
May = Callable[[Request, str, Target, Options], Awaitable[None]]


class Verbs:
    def __init__(self, registry: Registry, may: May, yaml_limit: int = decode.YAML_LIMIT) -> None:
        """yaml_limit: bytes of a body in YAML."""
        self._registry = registry
        self._may = may
        self._yaml_limit = yaml_limit

    # Reading

    async def get(self, x: Request, target: Target, options: Options) -> Reply:
        stored = self._registry.get(target.kind, target.namespace or None, target.name, context(x, options))
        return await self.one(x, target.kind, stored, options)

    async def one(
        self, x: Request, kind: Kind[Any], stored: Stored, options: Options, code: int = 200
    ) -> Reply:
        """One object in the requested form."""
        accept = x.headers.get("Accept")
        if accept is None or accept == "application/json":
            return x.reply(code, stored.value)
        form = negotiate.accept(accept)
        if form.as_ == "Table":
            include = options.include_object or "Metadata"
            parts = [part async for part in tables.table(kind, [stored.value], stored.revision, include)]
            return x.reply(code, b"".join(parts), form.content_type)
        if form.as_ == "PartialObjectMetadata":
            return x.reply(code, tables.partial(kind, stored.value), form.content_type)
        if form.as_:
            raise errors.not_acceptable(f"a single object cannot be sent as {form.as_}")
        return x.reply(code, stored.value)

    async def list(self, x: Request, target: Target, options: Options) -> Reply:
        kind = target.kind
        query = Query(
            target.namespace or None,
            label_selector(options),
            field_selector(options),
            limit=options.limit,
            continue_=options.continue_,
            resource_version=options.resource_version,
            match=options.resource_version_match,
        )
        found = self._registry.list(kind, query, context(x, options))
        if options.continue_ and not _of_list(found.entries, kind, target.namespace):
            raise errors.bad_request("continue key is not valid")
        more = b""
        if found.continue_:
            more += b',"continue":%b' % _encode(found.continue_)
            if found.remaining is not None:
                more += b',"remainingItemCount":%d' % found.remaining
        form = negotiate.accept(x.header("Accept"))
        gzip = negotiate.wants_gzip(x.header("Accept-Encoding")) and not _stays_here(x)
        held = self._registry.pin(kind, found.entries, x.close)
        try:
            return await _send_list(x, kind, found, more, form, options.include_object, gzip=gzip)
        finally:
            held()

    # Writing

    async def create(self, x: Request, target: Target, options: Options) -> Reply:
        kind = target.kind
        ctx = context(x, options)
        obj = await self.object(x, kind, ctx)
        stored = await self._registry.create(kind, target.namespace or None, obj, ctx)
        return await self.one(x, kind, stored, options, 201)

    async def update(self, x: Request, target: Target, options: Options) -> Reply:
        kind = target.kind
        ctx = writing(x, options)
        obj = await self.object(x, kind, ctx)
        if kind.rules.create_on_update:
            await self._may_make(x, target, options)
        stored = await self._registry.update(
            kind, target.namespace or None, target.name, obj, ctx, subresource=target.subresource
        )
        return await self.one(x, kind, stored, options, 201 if stored.created else 200)

    async def patch(self, x: Request, target: Target, options: Options) -> Reply:
        kind = target.kind
        ctx = writing(x, options)
        type, body = await self.patch_body(x, ctx)
        if type == "apply":
            return await self._apply(x, target, options, body, ctx.large)
        if options.force:
            raise _bad_options(forbidden("force", "may not be specified for non-apply patch"))
        stored = await self._registry.patch(
            kind, target.namespace or None, target.name, body, type, ctx, subresource=target.subresource
        )
        return await self.one(x, kind, stored, options)

    async def _apply(
        self, x: Request, target: Target, options: Options, body: dict[str, Any], large: bool
    ) -> Reply:
        """Server-side apply: a manager's whole intent; the object is made where there is none."""
        kind = target.kind
        if not options.field_manager:
            raise _bad_options(required("fieldManager", "is required for apply patch"))
        _names(kind, target, body)
        await self._may_make(x, target, options)
        ctx = context(x, options)
        ctx.large = large
        stored = await self._registry.apply(
            kind,
            target.namespace or None,
            target.name,
            body,
            ctx,
            force=options.force,
            subresource=target.subresource,
        )
        return await self.one(x, kind, stored, options, 201 if stored.created else 200)

    async def _may_make(self, x: Request, target: Target, options: Options) -> None:
        """A write that would make its object wants the permission to create. Raises StatusError 403."""
        if target.subresource or self._registry.exists(target.kind, target.namespace or None, target.name):
            return
        await self._may(x, "create", target, options)

    async def object(self, x: Request, kind: Kind[Any], ctx: Context) -> Any:
        """The typed object in the body. Raises StatusError 400, 413, 415; warns of unknown fields."""
        body, content_type = await x.body(), _content_type(x)
        if not body:
            raise errors.bad_request("the request has no body")
        ctx.large = len(body) > LARGE
        if _heavy(body, content_type):
            return await offload(_object, kind, body, content_type, ctx, self._yaml_limit)
        return _object(kind, body, content_type, ctx, self._yaml_limit)

    async def struct(self, x: Request, type: type[S], what: str) -> S:
        """A body that is no object, read into a struct. Raises StatusError 400, 413, 415."""
        body, content_type = await x.body(), _content_type(x)
        if not body:
            return type()
        if _heavy(body, content_type):
            return await offload(
                lambda: decode.decode_struct(type, body, content_type, what, self._yaml_limit)
            )
        return decode.decode_struct(type, body, content_type, what, self._yaml_limit)

    async def patch_body(self, x: Request, ctx: Context) -> tuple[Any, Any]:
        """(type, document) of a PATCH. Raises StatusError 400, 413, 415."""
        media = decode.media_type(x.header("Content-Type"))
        type = _PATCH_TYPES.get(media)
        if type is None:
            accepted = ", ".join(_PATCH_TYPES)
            raise errors.unsupported_media_type(
                f"the body of the request was in an unknown format - accepted media types include: {accepted}"
            )
        body = await x.body()
        ctx.large = len(body) > LARGE
        if type != "apply":
            media = decode.JSON
        if _heavy(body, media):
            document = await offload(decode.document, body, media, self._yaml_limit)
        else:
            document = decode.document(body, media)
        if type == "json" and not isinstance(document, list):
            raise errors.bad_request("a JSON patch is a list of operations")
        if type != "json" and not isinstance(document, dict):
            raise errors.bad_request("the patch is not an object")
        return type, document

    # Deleting

    async def delete(self, x: Request, target: Target, options: Options) -> Reply:
        kind = target.kind
        requested = _defaulted(await self.struct(x, DeleteOptions, "DeleteOptions"), options)
        ctx = context(x, options._replace(dry_run=options.dry_run or bool(requested.dry_run)))
        if requested.ignore_store_read_error_with_cluster_breaking_potential:
            await self._may(x, "unsafe-delete-ignore-read-errors", target, options)
        stored = await self._registry.delete(kind, target.namespace or None, target.name, requested, ctx)
        if not stored.deleted or (kind.answers_deleted and stored.value):
            return await self.one(x, kind, stored, options)
        details: dict[str, Any] = {"name": target.name, "group": kind.group, "kind": kind.resource}
        if stored.obj is not None:
            details["uid"] = stored.obj.metadata.uid
        if not kind.group:
            del details["group"]
        return x.reply(200, success(details))

    async def delete_collection(self, x: Request, target: Target, options: Options) -> Reply:
        kind = target.kind
        requested = _defaulted(await self.struct(x, DeleteOptions, "DeleteOptions"), options)
        ctx = context(x, options._replace(dry_run=options.dry_run or bool(requested.dry_run)))
        query = Query(target.namespace or None, label_selector(options), field_selector(options))
        found = await self._registry.delete_collection(kind, query, requested, ctx)
        head = b'{"kind":"%bList","apiVersion":"%b","metadata":{"resourceVersion":"%d"},"items":[' % (
            kind.kind.encode(),
            kind.api_version.encode(),
            found.revision,
        )
        return await streams.send(x, 200, [head, *_joined(found.entries), b"]}"])


async def _send_list(
    x: Request,
    kind: Kind[Any],
    found: ListResult,
    more: bytes,
    form: negotiate.Form,
    include: str,
    *,
    gzip: bool,
) -> Reply:
    """more: further members of the ListMeta, each begun by a comma."""
    form_type = form.content_type
    if form.as_ == "Table":
        values = (entry.value for entry in found.entries)
        rows = tables.table(kind, values, found.revision, include or "Metadata", more)
        return await streams.send_made(x, rows, form_type, gzip=gzip)
    name, version = f"{kind.kind}List", kind.api_version
    metadata_only = form.as_ == "PartialObjectMetadataList"
    if metadata_only:
        name, version = form.as_, "meta.k8s.io/v1"
    elif form.as_:
        raise errors.not_acceptable(f"a list cannot be sent as {form.as_}")
    head = b'{"kind":"%b","apiVersion":"%b","metadata":{"resourceVersion":"%d"%b},"items":[' % (
        name.encode(), version.encode(), found.revision, more,
    )  # fmt: skip
    if metadata_only:
        items = tables.partials(kind, (entry.value for entry in found.entries), head)
        return await streams.send_made(x, items, form_type, gzip=gzip)
    return await streams.send(x, 200, [head, *_joined(found.entries), b"]}"], form_type, gzip=gzip)


def _joined(entries: list[Entry]) -> list[bytes]:
    """Values with commas between."""
    parts: list[bytes] = []
    for entry in entries:
        parts.append(entry.value)
        parts.append(b",")
    if parts:
        parts.pop()
    return parts


def _of_list(entries: list[Entry], kind: Kind[Any], namespace: str) -> bool:
    """Whether a page belongs to the requested list: a token names a list, not its readers."""
    return not entries or entries[0].key.startswith(kind.prefix(namespace or None))


def label_selector(options: Options) -> selectors.Selector | None:
    return selectors.parse_labels(options.labels) if options.labels else None


def field_selector(options: Options) -> selectors.FieldSelector | None:
    return selectors.parse_fields(options.fields) if options.fields else None


def success(details: dict[str, Any]) -> bytes:
    return _encode(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    )


def _content_type(x: Request) -> str:
    return x.headers.get("Content-Type") or decode.JSON


def _heavy(body: bytes, content_type: str) -> bool:
    """Whether a body is read off the loop."""
    return len(body) > LARGE or (
        content_type != decode.JSON and decode.media_type(content_type) in decode.YAMLS
    )


def _object(kind: Kind[Any], body: bytes, content_type: str, ctx: Context, yaml_limit: int) -> Any:
    """A body as an object, with what field validation asks for."""
    media = content_type if content_type == decode.JSON else decode.media_type(content_type)
    if media in decode.YAMLS:
        document = decode.document(body, media, yaml_limit)
        if ctx.field_validation != "Ignore":
            _judge(kind, strict.problems_of_document(kind, document), ctx)
        return decode.from_document(kind, document)
    if media == decode.JSON and ctx.field_validation != "Ignore" and (found := strict.problems(kind, body)):
        _judge(kind, found, ctx)
    return decode.decode(kind, body, media)


def _judge(kind: Kind[Any], problems: list[str], ctx: Context) -> None:
    """Refuse (Strict) or warn of what field validation found."""
    if problems and ctx.field_validation == "Strict":
        raise strict.refusal(kind, problems)
    ctx.warnings += problems


def writing(x: Request, options: Options) -> Context:
    """The context of a plain write: who names no field manager is known by the program's name."""
    ctx = context(x, options)
    ctx.field_manager = options.field_manager or x.header("User-Agent").partition("/")[0][:128] or "unknown"
    return ctx


def _names(kind: Kind[Any], target: Target, body: dict[str, Any]) -> None:
    """What an apply says of itself must be what the URL says. Raises StatusError 400."""
    for field, want in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if body.get(field) != want:
            raise errors.bad_request(
                f"the {field} of an applied object must be set: want {want!r}, "
                f"got {str(body.get(field))[:256]!r}"
            )
    meta = body.get("metadata") or {}
    wanted = (("name", target.name), ("namespace", target.namespace))
    for field, want in wanted if isinstance(meta, dict) else ():
        if meta.get(field) not in (None, want):
            raise errors.bad_request(
                f"the {field} of the object ({str(meta.get(field))[:256]}) does not match "
                f"the {field} on the URL ({want})"
            )


def _bad_options(error: errors.FieldError) -> errors.StatusError:
    return errors.invalid_object("PatchOptions", "", [error], "meta.k8s.io")


def _defaulted(requested: DeleteOptions, options: Options) -> DeleteOptions:
    """The body of a DELETE; what it leaves out comes from the query. Raises StatusError 400."""
    if requested.grace_period_seconds is not None and requested.grace_period_seconds < 0:
        raise errors.bad_request("DeleteOptions: gracePeriodSeconds must not be negative")
    changes: dict[str, Any] = {}
    if requested.grace_period_seconds is None and options.grace_period is not None:
        changes["grace_period_seconds"] = options.grace_period
    if requested.propagation_policy is None and options.propagation:
        changes["propagation_policy"] = options.propagation
    if (
        requested.ignore_store_read_error_with_cluster_breaking_potential is None
        and options.ignore_read_errors
    ):
        changes["ignore_store_read_error_with_cluster_breaking_potential"] = True
    if requested.orphan_dependents is None and options.orphan is not None:
        changes["orphan_dependents"] = options.orphan
    return msgspec.structs.replace(requested, **changes) if changes else requested


def _stays_here(x: Request) -> bool:
    """Whether the client is on this host, where copying is cheaper than compressing."""
    peer = x.protocol.peername
    if not isinstance(peer, tuple):
        return True
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
