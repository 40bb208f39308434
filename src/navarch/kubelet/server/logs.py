# SPDX-License-Identifier: GPL-3.0-or-later
"""Container logs over HTTP.

Options of the API's PodLogOptions, answered as plain text, followed as long as the container writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import msgspec
from aiohttp import web

from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.status import PodStatus
from navarch.api.machinery.errors import StatusError, bad_request
from navarch.api.machinery.meta import parse_time
from navarch.kubelet.runtime.base import ContainerState, LogOptions, Runtime, RuntimeFault

#: Seconds after which it is noticed that who follows a silent log has left.
_LOOK = 2.0


class LogQuery(msgspec.Struct, frozen=True):
    options: LogOptions
    previous: bool
    limit: int | None
    stream: int  # 0: both


def parse(query: Mapping[str, str]) -> LogQuery:
    """Raises StatusError 400."""

    def number(name: str) -> int | None:
        text = query.get(name, "")
        if not text:
            return None
        if not text.isdigit():
            raise bad_request(f"{name}: {text!r} is not a number of at least 0")
        return int(text)

    def flag(name: str) -> bool:
        text = query.get(name, "")
        if text.lower() not in ("", "0", "1", "true", "false"):
            raise bad_request(f"{name}: {text!r} is neither true nor false")
        return text.lower() in ("1", "true")

    since: float | None = None
    seconds = number("sinceSeconds")
    if seconds is not None:
        since = time.time() - seconds
    elif query.get("sinceTime"):
        try:
            since = parse_time(query["sinceTime"]).timestamp()
        except ValueError:
            raise bad_request(f"sinceTime: {query['sinceTime']!r} is not an RFC 3339 time") from None
    options = LogOptions(
        follow=flag("follow"), tail=number("tailLines"), since=since, timestamps=flag("timestamps")
    )
    stream = {"Stdout": 1, "Stderr": 2}.get(query.get("stream", ""), 0)
    return LogQuery(options, flag("previous"), number("limitBytes"), stream)


def choose(states: list[ContainerState], pod: Pod, container: str, previous: bool) -> ContainerState:
    """The container whose log is requested, of a pod with its present status. Raises StatusError 400."""
    found = [s for s in states if s.name == container and (s.status != "created")]
    if previous:
        of = pod.status or PodStatus()
        status = [*(of.init_container_statuses or ()), *(of.container_statuses or ())]
        last = next((s.last_state for s in status if s.name == container), None)
        id = last.terminated.container_id if last is not None and last.terminated is not None else ""
        found = [s for s in found if f"docker://{s.id}" == id]
        if not found:
            raise bad_request(
                f'previous terminated container "{container}" in pod "{pod.metadata.name}" not found'
            )
    elif not found:
        raise bad_request(f'container "{container}" is waiting to start')
    return found[-1]


async def answer(
    request: web.Request, runtime: Runtime, state: ContainerState, requested: LogQuery
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    if not requested.options.follow:
        await _write(request, response, runtime.logs(state, requested.options), requested)
        return response
    # Who follows hears at once that there is a log, and may leave before the container says anything.
    await response.prepare(request)
    writing = asyncio.ensure_future(
        _write(request, response, runtime.logs(state, requested.options), requested)
    )
    try:
        while not (await asyncio.wait({writing}, timeout=_LOOK))[0]:
            if request.transport is None or request.transport.is_closing():
                return response
        await writing
    finally:
        writing.cancel()
    return response


async def _write(
    request: web.Request,
    response: web.StreamResponse,
    log: AsyncIterator[tuple[int, bytes]],
    requested: LogQuery,
) -> None:
    left = requested.limit
    begun = response.prepared
    try:
        async for stream, data in log:
            if requested.stream and stream != requested.stream:
                continue
            if left is not None:
                data = data[:left]
                left -= len(data)
            if not begun:
                await response.prepare(request)
                begun = True
            await response.write(data)
            if left == 0:
                break
    except RuntimeFault as error:
        if not begun:
            raise StatusError(500, "InternalError", str(error)) from None
    if not begun:
        await response.prepare(request)
    await response.write_eof()
