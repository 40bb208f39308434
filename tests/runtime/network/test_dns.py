# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's DNS as a client sees it: real sockets, a real store behind it, another server upstream."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from navarch.api.builtin import scheme
from navarch.api.core.service.service import Service, ServicePort, ServiceSpec
from navarch.api.discovery.endpointslice import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
)
from navarch.api.machinery.meta import ObjectMeta
from navarch.auth.user import User
from navarch.client.local import LocalClient
from navarch.network.dns.memory import Memory
from navarch.network.dns.server import DnsServer, allow
from navarch.network.dns.service import NodeDns
from navarch.network.dns.sockets import Store
from navarch.network.dns.upstream import Upstream
from navarch.network.services import Services
from navarch.registry.admission.standard import plugins
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore

DOMAIN = "cluster.local"


class Others:
    """A DNS server elsewhere: `big.example.` does not fit into a datagram, `no.` there is not."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, query: bytes, tcp: bool) -> bytes:
        asked = dns.message.from_wire(query)
        name = str(asked.question[0].name)
        self.asked.append(name)
        made = dns.message.make_response(asked)
        if name.startswith("no."):
            made.set_rcode(dns.rcode.NXDOMAIN)
        else:
            count = 60 if name.startswith("big.") else 1
            values = [f"192.0.2.{i + 1}" for i in range(count)]
            made.answer.append(dns.rrset.from_text(asked.question[0].name, 20, "IN", "A", *values))
        if not tcp and len(made.answer) and len(made.answer[0]) > 1:
            made.answer.clear()
            made.flags |= dns.flags.TC
        return bytes(made.to_wire())

    def quick(self, query: bytes, tcp: bool) -> None:
        return None


class Asker(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.got.put_nowait(data)


class Site:
    def __init__(self, client: LocalClient, served: NodeDns, others: Others) -> None:
        self.client = client
        self.dns = served
        self.others = others

    async def ask(self, name: str, type: str = "A", *, edns: int | None = None) -> dns.message.Message:
        query = dns.message.make_query(name, type, use_edns=edns is not None, payload=edns or 0)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            Asker, remote_addr=("127.0.0.1", self.dns.server.port)
        )
        try:
            transport.sendto(query.to_wire())
            answer = dns.message.from_wire(await asyncio.wait_for(protocol.got.get(), 15))
        finally:
            transport.close()
        assert query.is_response(answer)
        return answer

    async def by_tcp(self, *names: str) -> list[dns.message.Message]:
        """Several questions over one connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.dns.server.port)
        found = []
        try:
            for name in names:
                query = dns.message.make_query(name, "A").to_wire()
                writer.write(len(query).to_bytes(2) + query)
                data = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                found.append(dns.message.from_wire(data))
        finally:
            writer.close()
        return found

    async def values(self, name: str, type: str = "A") -> list[str]:
        answer = await self.ask(name, type)
        return sorted(str(item) for rrset in answer.answer for item in rrset)

    async def until(self, name: str, wanted: list[str], type: str = "A") -> None:
        async with asyncio.timeout(15):
            while await self.values(name, type) != wanted:
                await asyncio.sleep(0.02)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    store = SqliteStore(str(tmp_path / "store.db"))
    await store.start()
    registry = Registry(store, scheme(), admission=plugins(service_cidr="10.96.0.0/24"))
    await registry.start()
    client = LocalClient(registry, User(name="test", groups=("system:masters",)))
    others = Others()
    upstream = DnsServer(others, allow(["127.0.0.0/8"]))  # type: ignore[arg-type]  # stands for a resolver
    await upstream.start(*Store({}).sockets("127.0.0.1", 0))
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\n")
    services = Services(client)
    served = NodeDns(
        services,
        address="127.0.0.1",
        domain=DOMAIN,
        cluster_cidr="10.244.0.0/16",
        service_cidr="10.96.0.0/24",
        node_ip="127.0.0.1",
        port=0,
        upstream=Upstream("127.0.0.53", str(file), port=upstream.port),
    )
    tasks = [asyncio.create_task(services.run()), asyncio.create_task(served.run())]
    try:
        async with asyncio.timeout(15):
            while not served.resolver.ready.is_set() or not served.server.port:
                await asyncio.sleep(0.01)
        yield Site(client, served, others)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await upstream.close()
        await registry.close()
        await store.close()


async def service(site: Site, name: str, **spec: Any) -> Service:
    return await site.client.create(
        Service(metadata=ObjectMeta(name=name, namespace="default"), spec=ServiceSpec(**spec))
    )


async def slice_(site: Site, name: str, *endpoints: Endpoint) -> EndpointSlice:
    return await site.client.create(
        EndpointSlice(
            metadata=ObjectMeta(
                name=f"{name}-1", namespace="default", labels={"kubernetes.io/service-name": name}
            ),
            address_type="IPv4",
            endpoints=list(endpoints),
            ports=[EndpointPort(name="web", port=8080)],
        )
    )


def serial(answer: dns.message.Message) -> tuple[str, str]:
    [authority] = answer.authority
    return str(authority.name), dns.rdatatype.to_text(authority.rdtype)


async def test_a_service_has_a_name_ports_and_a_reverse(site: Site) -> None:
    made = await service(site, "web", ports=[ServicePort(name="http", port=80)])
    address = made.spec.cluster_ip if made.spec else None
    assert address
    await site.until(f"web.default.svc.{DOMAIN}.", [address])
    assert await site.values(f"WEB.default.SVC.{DOMAIN}.") == [address]
    nodata = await site.ask(f"web.default.svc.{DOMAIN}.", "AAAA")
    assert nodata.rcode() == dns.rcode.NOERROR and not nodata.answer
    assert serial(nodata) == (f"{DOMAIN}.", "SOA")
    expected = [f"0 100 80 web.default.svc.{DOMAIN}."]
    assert await site.values(f"_http._tcp.web.default.svc.{DOMAIN}.", "SRV") == expected
    reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa."
    assert await site.values(reverse, "PTR") == [f"web.default.svc.{DOMAIN}."]
    assert await site.values(f"dns-version.{DOMAIN}.", "TXT") == ['"1.1.0"']
    await site.client.delete(Service, "web", "default")
    await site.until(f"web.default.svc.{DOMAIN}.", [])
    gone = await site.ask(f"web.default.svc.{DOMAIN}.")
    assert gone.rcode() == dns.rcode.NXDOMAIN
    assert serial(gone) == (f"{DOMAIN}.", "SOA")
    assert not site.others.asked


async def test_a_headless_service_is_its_ready_pods(site: Site) -> None:
    await service(site, "db", cluster_ip="None", selector={"a": "b"}, ports=[ServicePort(port=1)])
    ready, sick = EndpointConditions(ready=True), EndpointConditions(ready=False)
    made = await slice_(
        site,
        "db",
        Endpoint(addresses=["10.244.1.2"], conditions=ready, hostname="db-0"),
        Endpoint(addresses=["10.244.1.3"], conditions=ready),
        Endpoint(addresses=["10.244.1.4"], conditions=sick),
    )
    name = f"db.default.svc.{DOMAIN}."
    await site.until(name, ["10.244.1.2", "10.244.1.3"])
    assert await site.values(f"db-0.{name}") == ["10.244.1.2"]
    assert await site.values(f"10-244-1-3.{name}") == ["10.244.1.3"]
    assert await site.values("2.1.244.10.in-addr.arpa.", "PTR") == [f"db-0.{name}"]
    srv = await site.ask(f"_web._tcp.{name}", "SRV")
    assert sorted(str(item) for item in srv.answer[0]) == [
        f"0 100 8080 10-244-1-3.{name}",
        f"0 100 8080 db-0.{name}",
    ]
    assert len(srv.additional) == 2
    assert (await site.ask("9.9.244.10.in-addr.arpa.", "PTR")).rcode() == dns.rcode.NXDOMAIN
    await site.client.delete(EndpointSlice, made.metadata.name or "", "default")
    await site.until(name, [])
    assert not site.others.asked


async def test_names_of_pods_and_names_above_others(site: Site) -> None:
    assert await site.values(f"10-244-3-4.default.pod.{DOMAIN}.") == ["10.244.3.4"]
    outside = await site.ask(f"8-8-8-8.default.pod.{DOMAIN}.")
    assert outside.rcode() == dns.rcode.NXDOMAIN
    await service(site, "web", ports=[ServicePort(name="http", port=80)])
    for above in (f"svc.{DOMAIN}.", f"{DOMAIN}."):
        assert (await site.ask(above)).rcode() == dns.rcode.NOERROR


async def test_an_external_name_is_followed_upstream(site: Site) -> None:
    await service(site, "out", type="ExternalName", external_name="api.example.org")
    name = f"out.default.svc.{DOMAIN}."
    await site.until(name, ["192.0.2.1", "api.example.org."])
    assert await site.values(name, "CNAME") == ["api.example.org."]


async def test_other_names_are_asked_upstream_once_and_age(site: Site) -> None:
    clock = [100.0]
    site.dns.resolver._clock = lambda: clock[0]
    first = await site.ask("example.org.")
    clock[0] += 7
    second = await site.ask("example.org.")
    assert [str(i) for i in second.answer[0]] == ["192.0.2.1"]
    assert (first.answer[0].ttl, second.answer[0].ttl) == (20, 13)
    assert site.others.asked == ["example.org."]
    clock[0] += 20
    await site.ask("example.org.")
    assert len(site.others.asked) == 2
    assert (await site.ask("no.example.")).rcode() == dns.rcode.NXDOMAIN


async def test_what_is_too_large_goes_by_tcp(site: Site) -> None:
    await service(site, "many", cluster_ip="None", selector={"a": "b"}, ports=[ServicePort(port=1)])
    await slice_(site, "many", *(Endpoint(addresses=[f"10.244.2.{i}"]) for i in range(1, 61)))
    name = f"many.default.svc.{DOMAIN}."
    async with asyncio.timeout(15):
        while not (short := await site.ask(name)).flags & dns.flags.TC:
            await asyncio.sleep(0.02)
    assert not short.answer
    assert len((await site.ask(name, edns=4096)).answer[0]) == 60
    own, other = await site.by_tcp(name, "big.example.")
    assert len(own.answer[0]) == 60
    assert len(other.answer[0]) == 60
    assert (await site.ask("big.example.")).flags & dns.flags.TC


async def test_strangers_and_nonsense_get_no_answer(site: Site) -> None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        Asker, remote_addr=("127.0.0.1", site.dns.server.port)
    )
    try:
        for data in (b"", b"x", b"\0" * 12, b"\0" * 40, b"\xff" * 300):
            transport.sendto(data)
        site.dns.server.allowed = allow(["192.0.2.0/24"])
        transport.sendto(dns.message.make_query(f"dns-version.{DOMAIN}.", "TXT").to_wire())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(protocol.got.get(), 0.3)
    finally:
        transport.close()


async def test_nothing_is_denied_before_it_is_known(site: Site) -> None:
    site.dns.resolver.ready.clear()
    site.dns.resolver._first = 0.1
    assert (await site.ask(f"web.default.svc.{DOMAIN}.")).rcode() == dns.rcode.SERVFAIL


async def test_an_upstream_that_is_away_is_told(site: Site, tmp_path: Path) -> None:
    site.dns.upstream._servers, site.dns.upstream._looked = [], float("inf")
    assert (await site.ask("example.org.")).rcode() == dns.rcode.SERVFAIL


async def test_a_server_that_is_silent_is_asked_last_from_then_on(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "two.conf"
    file.write_text("nameserver 127.0.0.9\nnameserver 127.0.0.1\n")
    upstream = Upstream("127.0.0.53", str(file), port=site.dns.upstream._port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.9", site.dns.upstream._port))
        silent.setblocking(False)
        query = dns.message.make_query("example.org.", "A").to_wire()
        for _ in range(2):
            answer = dns.message.from_wire(await upstream.ask(query, False))
            assert str(answer.answer[0][0]) == "192.0.2.1"
        assert silent.recv(512)
        with pytest.raises(BlockingIOError):
            silent.recv(512)
    await upstream.close()


class Away:
    """A master that does not answer."""

    async def list(self, *_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()


async def test_names_outlive_a_restart_while_the_master_is_away(site: Site, tmp_path: Path) -> None:
    await service(site, "db", cluster_ip="None", selector={"a": "b"}, ports=[ServicePort(port=1)])
    await slice_(site, "db", Endpoint(addresses=["10.244.1.2"]))
    gone = await service(site, "web", ports=[ServicePort(name="http", port=80)])
    memory = Memory(tmp_path / "names")
    names = {"db": ["10.244.1.2"], "web": [gone.spec.cluster_ip if gone.spec else None]}
    for name, wanted in names.items():
        await site.until(f"{name}.default.svc.{DOMAIN}.", [str(one) for one in wanted])

    @contextlib.asynccontextmanager
    async def started(client: Any) -> AsyncIterator[Site]:
        services = Services(client)
        cidrs = {"cluster_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/24"}
        ours = {"address": "127.0.0.1", "domain": DOMAIN, "node_ip": "127.0.0.1"}
        dns = NodeDns(services, port=0, memory=memory, **ours, **cidrs)
        tasks = [asyncio.create_task(services.run()), asyncio.create_task(dns.run())]
        try:
            async with asyncio.timeout(15):
                while not dns.server.port or not (dns.resolver.ready.is_set() or dns.resolver.remembers):
                    await asyncio.sleep(0.01)
            yield Site(client, dns, site.others)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async with started(site.client):
        pass
    await site.client.delete(Service, "web", "default")
    async with started(Away()) as again:
        for name, wanted in names.items():
            assert await again.values(f"{name}.default.svc.{DOMAIN}.") == wanted
        # Nothing is denied yet: the master may come and know better.
        assert not again.dns.resolver.ready.is_set()
    async with started(site.client) as anew:
        await anew.until(f"web.default.svc.{DOMAIN}.", [])
        assert await anew.values(f"db.default.svc.{DOMAIN}.") == ["10.244.1.2"]
    async with started(Away()) as last:
        last.dns.resolver._first = 0.1
        assert await last.values(f"web.default.svc.{DOMAIN}.") == []
    (tmp_path / "names").write_bytes(b"no message")
    assert memory.load() == []


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_a_question_under_way_is_answered_when_the_server_ends(site: Site, way: str) -> None:
    others, before = site.others, site.others.answer
    asked = asyncio.Event()

    async def slowly(query: bytes, tcp: bool) -> bytes:
        asked.set()
        await asyncio.sleep(0.3)
        return await before(query, tcp)

    others.answer = slowly  # type: ignore[method-assign]  # of this one alone

    async def ask() -> dns.message.Message:
        return await site.ask("slow.example.") if way == "udp" else (await site.by_tcp("slow.example."))[0]

    asking = asyncio.create_task(ask())
    await asked.wait()
    await site.dns.server.close()
    assert [str(one) for one in (await asking).answer[0]] == ["192.0.2.1"]


async def test_who_has_connected_may_still_ask_when_the_server_ends(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.dns.server.port)
    await site.by_tcp("some.example.")  # accepted after it
    ending = asyncio.create_task(site.dns.server.close())
    await asyncio.sleep(0.1)
    query = dns.message.make_query("other.example.", "A").to_wire()
    writer.write(len(query).to_bytes(2) + query)
    data = await asyncio.wait_for(reader.readexactly(int.from_bytes(await reader.readexactly(2))), 15)
    assert [str(one) for one in dns.message.from_wire(data).answer[0]] == ["192.0.2.1"]
    await ending
    writer.close()
