# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches: a stream of JSON frames, one write to the transport a batch and watcher.

What a batch looks like on the wire is made by the first watcher that sends it and remembered in the batch,
so that fifty watchers with one selector encode once. Large objects are not copied for that: they are written
from the bytes that are stored, at the client's pace.

A client that reads nothing costs what its queue and its transport may hold (`UNREAD`, `streams.PORTION`), and
is cut after `request.STUCK` seconds. It may come back from where it was as long as the window has that.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec

from navarch.api.machinery import errors
from navarch.api.machinery.scheme import Kind
from navarch.apiserver import negotiate, streams, tables
from navarch.apiserver.metrics import Requests
from navarch.apiserver.request import WRITTEN, WRITTEN_LAST, Reply, Request, head
from navarch.apiserver.route import Options, Target
from navarch.apiserver.verbs import context, field_selector, label_selector
from navarch.registry.query import Query
from navarch.registry.reading import Bookmark, Watching
from navarch.registry.registry import Registry
from navarch.store.cache import Batch, batches
from navarch.store.watchers import BATCH_BYTES

#: Seconds a watch lasts when the client names no end: between half an hour and an hour, so that not all end
#: at once.
SHORTEST, LONGEST = 1800.0, 3600.0

#: Changes written at a time: a long backlog does not hold the loop.
PORTION = 500

#: Bytes of changes that may wait for one client.
UNREAD = 1 << 20
#: Objects from this size on are not copied into frames.
LARGE = 32 * 1024

_encode = msgspec.json.encode

_KINDS = {
    "ADDED": b'{"type":"ADDED","object":',
    "MODIFIED": b'{"type":"MODIFIED","object":',
    "DELETED": b'{"type":"DELETED","object":',
}
_CLOSE = b"}\n"

#: From a batch to a chunk of the answer's body.
Encoder = Callable[[Batch], bytes]


class Watches:
    """All open watches of the server."""

    def __init__(self, registry: Registry, metrics: Requests) -> None:
        self._registry = registry
        self._metrics = metrics
        self._open: set[Watching] = set()

    async def watch(self, x: Request, target: Target, options: Options) -> Reply:
        kind = target.kind
        form = negotiate.accept(x.header("Accept"))
        if target.name:
            name = f"metadata.name={target.name}"
            options = options._replace(fields=f"{options.fields},{name}" if options.fields else name)
        if options.send_initial_events is not None and options.resource_version_match != "NotOlderThan":
            raise errors.bad_request("sendInitialEvents requires resourceVersionMatch=NotOlderThan")
        try:
            query = Query(
                target.namespace or None,
                label_selector(options),
                field_selector(options),
                resource_version=options.resource_version,
                send_initial_events=options.send_initial_events,
                bookmarks=options.bookmarks,
                unread=UNREAD,
            )
            watching = self._registry.watch(kind, query, context(x, options))
        except errors.StatusError as error:
            if error.code != 410:
                raise
            # As the reference does it: clients look for this one among the events, and some nowhere else.
            x.write(head(200, "application/json", None, x.extra_lines()))
            x.write(_error(error))
            return _end(x)
        x.release()
        self._open.add(watching)
        self._metrics.watches += 1
        x.on_lost = watching.close
        try:
            return await self._stream(x, watching, target, form, options)
        finally:
            self._metrics.watches -= 1
            self._open.discard(watching)
            x.on_lost = None
            watching.close()

    def close(self) -> None:
        """End all watches: their clients get a complete answer and watch again."""
        for watching in list(self._open):
            watching.close()

    async def _stream(
        self, x: Request, watching: Watching, target: Target, form: negotiate.Form, options: Options
    ) -> Reply:
        kind = target.kind
        encode = _encoder(kind, form, options)
        seconds = options.timeout or random.uniform(SHORTEST, LONGEST)
        x.limit_buffer(streams.PORTION)
        x.write(head(200, "application/json", None, x.extra_lines()))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    batch = await watching.next()
                    if isinstance(batch, Bookmark):
                        x.write(streams.chunk(bookmark(kind, form, batch)))
                    elif batch.size > BATCH_BYTES or len(batch.changes) > PORTION:
                        await self._write_long(x, target, batch, encode)
                    elif batch.size > LARGE:
                        await _write_large(x, batch, encode)
                    else:
                        x.write(encode(batch))
                    if x.protocol.writing_paused:
                        await x.drained()
        except TimeoutError:
            pass
        except errors.StatusError as error:
            if x.lost:
                return WRITTEN_LAST
            if error.code != 503:
                x.write(_error(error))
        return _end(x)

    async def _write_long(self, x: Request, target: Target, batch: Batch, encode: Encoder) -> None:
        """The initial events of a watch: as many portions, the client's pace looked at in between."""
        held = self._registry.pin(target.kind, [change.entry for change in batch.changes], x.close)
        try:
            for part in batches(batch.changes, PORTION):
                await _write_large(x, part, encode)
                await asyncio.sleep(0)
        finally:
            held()


async def _write_large(x: Request, batch: Batch, encode: Encoder) -> None:
    if encode is plain and batch.size > LARGE * len(batch.changes):
        parts: list[bytes] = []
        for change in batch.changes:
            parts += (_KINDS[change.kind], change.entry.value, _CLOSE)
        await streams.write_chunk(x, parts)
    else:
        await streams.write(x, (encode(batch),))


def _error(error: errors.StatusError) -> bytes:
    return streams.chunk(b'{"type":"ERROR","object":%b}\n' % _encode(error.body()))


def _end(x: Request) -> Reply:
    x.write(streams.LAST_CHUNK)
    return WRITTEN_LAST if x.should_close else WRITTEN


def _encoder(kind: Kind[Any], form: negotiate.Form, options: Options) -> Encoder:
    if form.as_ == "Table":
        return _TableEncoder(kind, options.include_object or "Metadata")
    if form.as_ == "PartialObjectMetadata":
        return lambda batch: _remembered(batch, "partial", lambda value: tables.partial(kind, value))
    if form.as_:
        raise errors.not_acceptable(f"a watch cannot be sent as {form.as_}")
    return plain


def plain(batch: Batch) -> bytes:
    """A batch as one chunk of frames, made once."""
    ready = batch.frames.get("json")
    if ready is None:
        parts: list[bytes] = []
        for change in batch.changes:
            parts += (_KINDS[change.kind], change.entry.value, _CLOSE)
        ready = batch.frames["json"] = streams.chunk(b"".join(parts))
    return ready


def _remembered(batch: Batch, name: str, convert: Callable[[bytes], bytes]) -> bytes:
    ready = batch.frames.get(name)
    if ready is None:
        parts: list[bytes] = []
        for change in batch.changes:
            parts += (_KINDS[change.kind], convert(change.entry.value), _CLOSE)
        ready = batch.frames[name] = streams.chunk(b"".join(parts))
    return ready


class _TableEncoder:
    """Every change a Table of one row; the first of a watch carries the column definitions."""

    def __init__(self, kind: Kind[Any], include: str) -> None:
        self._kind = kind
        self._include = include
        self._first = True

    def __call__(self, batch: Batch) -> bytes:
        if not self._first:
            name = f"table {self._include}"
            ready = batch.frames.get(name)
            if ready is None:
                ready = batch.frames[name] = self._make(batch)
            return ready
        made = self._make(batch)
        self._first = False
        return made

    def _make(self, batch: Batch) -> bytes:
        parts: list[bytes] = []
        first = self._first
        for change in batch.changes:
            entry = change.entry
            row = tables.event_row(self._kind, entry.value, entry.revision, self._include, first=first)
            parts += (_KINDS[change.kind], row, _CLOSE)
            first = False
        return streams.chunk(b"".join(parts))


def bookmark(kind: Kind[Any], form: negotiate.Form, mark: Bookmark) -> bytes:
    """A BOOKMARK frame: an object of the watched form with nothing but the version reached."""
    metadata: dict[str, Any] = {"resourceVersion": str(mark.revision)}
    if mark.initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    obj: dict[str, Any] = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
    if form.as_:
        obj["kind"], obj["apiVersion"] = form.as_, "meta.k8s.io/v1"
    if form.as_ == "Table":
        obj["columnDefinitions"], obj["rows"] = None, [{"cells": [], "object": {"metadata": metadata}}]
    return _encode({"type": "BOOKMARK", "object": obj}) + b"\n"
