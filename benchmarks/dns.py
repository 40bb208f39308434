# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's DNS under load: 5,000 services, names asked at random as pods ask them, over loopback.

Every tenth question is for a name that a search path makes and nobody has. The asker is a process of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import multiprocessing
import random
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import dnslib
import uvloop

from benchmarks.cluster import report

SERVICES = 5_000
QUERIES = 60_000
WINDOW = 24
DOMAIN = "cluster.local"


def serve(pipe: Connection) -> None:
    uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    from navarch.network.dns.answer import Resolver
    from navarch.network.dns.records import Record
    from navarch.network.dns.server import DnsServer, allow
    from navarch.network.dns.sockets import Store
    from navarch.network.dns.zone import Zone

    async def nobody(query: bytes, tcp: bool) -> bytes:
        raise OSError("there is nobody else to ask")

    zone = Zone(DOMAIN, ["10.244.0.0/16"])
    for number in range(SERVICES):
        name = f"service-{number}.shop.svc.{DOMAIN}"
        address = str(ipaddress.ip_address("10.96.0.0") + number + 1)
        zone.put(("shop", f"service-{number}"), [Record(name, "A", address)])
    resolver = Resolver(zone, nobody)
    resolver.ready.set()
    server = DnsServer(resolver, allow(["127.0.0.0/8"]))
    await server.start(*Store({}).sockets("127.0.0.1", 0))
    pipe.send(server.port)
    while await asyncio.get_running_loop().run_in_executor(None, pipe.recv):
        pipe.send(time.process_time())
    await server.close()


class Asker(asyncio.DatagramProtocol):
    """Keeps a number of questions under way."""

    def __init__(self, questions: list[bytes], done: asyncio.Future[None]) -> None:
        self._questions = questions
        self._done = done
        self._sent: dict[int, float] = {}
        self._next = 0
        self.took: list[float] = []
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's class
        for _ in range(WINDOW):
            self._ask()

    def _ask(self) -> None:
        if self._next < len(self._questions):
            id = self._next & 0xFFFF
            self._sent[id] = time.perf_counter()
            self._transport.sendto(struct.pack("!H", id) + self._questions[self._next])
            self._next += 1

    def datagram_received(self, data: bytes, addr: object) -> None:
        id = data[0] << 8 | data[1]
        self.took.append(time.perf_counter() - self._sent.pop(id))
        if len(self.took) == len(self._questions):
            self._done.set_result(None)
        self._ask()


async def ask(port: int, questions: list[bytes]) -> tuple[float, list[float]]:
    """(seconds in all, seconds of each)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    started = time.perf_counter()
    transport, asker = await loop.create_datagram_endpoint(
        lambda: Asker(questions, done), remote_addr=("127.0.0.1", port)
    )
    try:
        async with asyncio.timeout(120):
            await done
    finally:
        transport.close()
    return time.perf_counter() - started, asker.took


def questions(count: int) -> list[bytes]:
    chance = random.Random(1)
    made: dict[str, bytes] = {}
    found = []
    for number in range(count):
        name = f"service-{chance.randrange(SERVICES)}.shop.svc.{DOMAIN}"
        if number % 10 == 0:
            name = f"{name}.shop.svc.{DOMAIN}"
        if name not in made:
            made[name] = bytes(dnslib.DNSRecord.question(name, "A").pack())[2:]
        found.append(made[name])
    return found


def messages() -> None:
    """Processor time for a question and its answer: our own writing beside the two libraries for it."""
    import dns.message
    import dns.rrset

    from navarch.network.dns.answer import Resolver
    from navarch.network.dns.records import Record
    from navarch.network.dns.zone import Zone

    async def nobody(query: bytes, tcp: bool) -> bytes:
        raise OSError("there is nobody else to ask")

    name = f"service-1.shop.svc.{DOMAIN}"
    zone = Zone(DOMAIN)
    zone.put(("shop", "service-1"), [Record(name, "A", "10.96.0.2")])
    resolver = Resolver(zone, nobody)
    resolver.ready.set()
    query = bytes(dnslib.DNSRecord.question(name, "A").pack())

    def ours() -> None:
        resolver.quick(query, False)

    def by_dnslib() -> None:
        made = dnslib.DNSRecord.parse(query).reply()
        made.add_answer(dnslib.RR(name, dnslib.QTYPE.A, ttl=5, rdata=dnslib.A("10.96.0.2")))
        made.pack()

    def by_dnspython() -> None:
        asked = dns.message.from_wire(query)
        made = dns.message.make_response(asked)
        made.answer.append(dns.rrset.from_text(asked.question[0].name, 5, "IN", "A", "10.96.0.2"))
        made.to_wire()

    def cost(work: Callable[[], None]) -> float:
        began = time.process_time()
        for _ in range(2_000):
            work()
        return (time.process_time() - began) / 2_000 * 1e6

    report("DNS_message", cost(ours), "us", dnslib_us=cost(by_dnslib), dnspython_us=cost(by_dnspython))


def _processor(pipe: Connection) -> float:
    """Seconds of processor time that the server has used."""
    pipe.send("?")
    return float(pipe.recv())


def main() -> None:
    messages()
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    try:
        port = here.recv()
        first = questions(QUERIES)
        for figure, asked in (("DNS, each name for the first time", first[:8_000]), ("DNS", first)):
            used = _processor(here)
            seconds, took = uvloop.run(ask(port, asked))
            took.sort()
            used = _processor(here) - used
            report(
                figure,
                len(asked) / seconds,
                "queries/s",
                queries=len(asked),
                server_cpu_us=used / len(asked) * 1e6,
                p50_ms=took[len(took) // 2] * 1000,
                p99_ms=took[len(took) * 99 // 100] * 1000,
                services=SERVICES,
            )
        here.send(None)
        process.join(10)
    finally:
        if process.is_alive():
            process.terminate()
        process.join()


if __name__ == "__main__":
    main()
