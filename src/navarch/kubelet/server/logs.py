# SPDX-License-Identifier: GPL-3.0-or-later
"""Container logs over HTTP.

Options of the API's PodLogOptions, answered as plain text, followed as long as the container writes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
from aiohttp import web

from navarch.api.errors import StatusError, bad_request
from navarch.api.meta import parse_time
from navarch.kubelet.runtime.base import ContainerState, LogOptions, Runtime, RuntimeFault


class Asked(msgspec.Struct, frozen=True):
    options: LogOptions
    previous: bool
    limit: int | None
    stream: int  # 0: both


def parse(query: Mapping[str, str]) -> Asked:
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
    return Asked(options, flag("previous"), number("limitBytes"), stream)


def choose(states: list[ContainerState], container: str, previous: bool) -> ContainerState:
    """The container whose log is asked for. Raises StatusError 400."""
    found = [s for s in states if s.name == container and (s.status != "created")]
    if previous:
        found = found[:-1] if found and found[-1].status == "running" else found
        if not found:
            raise bad_request(f'previous terminated container "{container}" not found')
    elif not found:
        raise bad_request(f'container "{container}" is waiting to start')
    return found[-1]


async def answer(
    request: web.Request, runtime: Runtime, state: ContainerState, asked: Asked
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    left = asked.limit
    begun = False
    try:
        async for stream, data in runtime.logs(state, asked.options):
            if asked.stream and stream != asked.stream:
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
    return response
