# SPDX-License-Identifier: GPL-3.0-or-later
"""The API: creates, gets and lists a second, watch fan-out and its lag, start to ready, idle memory."""

from __future__ import annotations

import asyncio
import time

from benchmarks import load
from benchmarks.cluster import Master, master, pod, report, run
from benchmarks.load import percentile

PODS = "/api/v1/namespaces/default/pods"
CONNECTIONS = 32
CREATES = 20_000
GETS = 40_000
LISTED = 5_000
WATCHERS = 50


async def measure(here: Master, figure: str, prepared: list[bytes]) -> None:
    before = here.cpu()
    result = await load.run(here.target, iter(prepared), CONNECTIONS)
    cost = (here.cpu() - before) / len(prepared) * 1e6
    report(
        figure,
        result.rate,
        "1/s",
        p50_ms=result.percentile(0.5),
        p99_ms=result.percentile(0.99),
        server_cpu_us=cost,
    )


async def creates(here: Master) -> None:
    target = here.target
    # A scheduler that is not there: measured is the API, not how pods without nodes are told so.
    bodies = (pod(f"pod-{number:06}", scheduler="nobody") for number in range(CREATES))
    prepared = [target.request("POST", PODS, body) for body in bodies]
    await measure(here, "api_create", prepared)


async def gets(here: Master) -> None:
    target = here.target
    prepared = [
        target.request("GET", f"{PODS}/pod-{number % CREATES:06}") for number in range(0, GETS * 7, 7)
    ]
    await measure(here, "api_get", prepared)


async def lists(here: Master) -> None:
    target = here.target
    prepared = [target.request("GET", f"{PODS}?limit={LISTED}") for _ in range(40)]
    await load.run(target, iter(prepared[:4]), 2)
    result = await load.run(target, iter(prepared), 2)
    size = result.received / len(prepared) / 1e6
    report(
        "api_list_5000",
        result.received / 1e6 / result.seconds,
        "MB/s",
        mb=size,
        p50_ms=result.percentile(0.5),
    )


async def watches(here: Master) -> None:
    target = here.target
    path = "/api/v1/namespaces/default/configmaps"

    def body(number: int, wave: str) -> bytes:
        return b'{"metadata":{"name":"%s-%d"},"data":{"text":"%s"}}' % (wave.encode(), number, b"x" * 800)

    counters = await load.watch(target, f"{path}?watch=true&resourceVersion=0", WATCHERS)
    before = [counter.count for counter in counters]
    prepared = [target.request("POST", path, body(number, "fast")) for number in range(2000)]
    started = time.perf_counter()
    await load.run(target, iter(prepared), CONNECTIONS)
    await asyncio.gather(*(c.reach(b + 2000) for c, b in zip(counters, before, strict=True)))
    seconds = time.perf_counter() - started
    report("watch_events", 2000 * WATCHERS / seconds, "1/s", watchers=WATCHERS, seconds=seconds)
    # At 200 a second, one connection: events come in the order in which the creates were sent.
    before = [counter.count for counter in counters]
    sent: list[float] = []
    marks = [len(counter.times) for counter in counters]
    line = await Line.open(target)
    for number in range(1000):
        sent.append(time.perf_counter())
        await line.ask(target.request("POST", path, body(number, "slow")))
        await asyncio.sleep(max(0.0, sent[0] + (number + 1) / 200 - time.perf_counter()))
    await asyncio.gather(*(c.reach(b + 1000) for c, b in zip(counters, before, strict=True)))
    line.close()
    lags: list[float] = []
    for counter, base, mark in zip(counters, before, marks, strict=True):
        seen = base
        for count, moment in counter.times[mark:]:
            lags += [moment - sent[number - base] for number in range(seen, count)]
            seen = count
    lags.sort()
    report(
        "watch_lag",
        percentile(lags, 0.99),
        "ms p99",
        p50_ms=percentile(lags, 0.5),
        per_second=200,
        watchers=WATCHERS,
    )
    for counter in counters:
        counter.transport.close()


class Line:
    """One request after the other on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, target: load.Target) -> Line:
        return cls(*await asyncio.open_connection(target.host, target.port, ssl=target.context))

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer. Raises RuntimeError when it is an error."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        at = head.lower().find(b"content-length: ")
        body = await self._reader.readexactly(int(head[at + 16 : head.find(b"\r\n", at)]))
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(body.decode())
        return body

    def close(self) -> None:
        self._writer.close()


def main() -> None:
    with master() as here:
        report("start_to_ready", here.ready_after, "s")
        time.sleep(3)
        report("master_rss_idle", here.rss(), "MiB")
        run(creates(here))
        run(gets(here))
        run(lists(here))
        run(watches(here))
