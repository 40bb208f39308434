# SPDX-License-Identifier: GPL-3.0-or-later
"""Services by real traffic: a real API in process, real nftables in a namespace, real TCP and UDP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from proxy_ground import NODE, Ground, ground

from navarch.api.builtin import scheme
from navarch.api.core.namespace import Namespace
from navarch.api.core.service.service import Service, ServiceStatus
from navarch.api.discovery.endpointslice import EndpointSlice
from navarch.api.machinery.errors import StatusError
from navarch.auth.user import User
from navarch.client.local import LocalClient
from navarch.network.netns import run_in
from navarch.network.proxy.kernel import Kernel
from navarch.network.proxy.service import ServiceProxy
from navarch.network.services import Services
from navarch.registry.admission.standard import plugins
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None,
        reason="needs root and nftables",
    ),
]

VIP = "10.96.0.10"
EXTERNAL = "203.0.113.9"
PODS = ("pod1", "pod2", "pod3")


@pytest.fixture(scope="module")
def land() -> Iterator[Ground]:
    with ground() as here:
        for name in ("pod1", "pod2", "pod3", "pod4"):
            here[name].serve("tcp", 8080)
            here[name].serve("udp", 8053)
        yield here


class World:
    """The API and the proxy of one node."""

    def __init__(self, land: Ground, client: LocalClient) -> None:
        self.land = land
        self.client = client
        self.services = Services(client)
        self.proxy = ServiceProxy(
            self.services,
            "here",
            service_cidr="10.96.0.0/16",
            cluster_cidr="10.244.0.0/16",
            kernel=Kernel(("ip", "netns", "exec", land.node), lambda function: run_in(land.pid, function)),
            look=0.1,
        )

    async def service(self, ports: list[dict[str, Any]], name: str = "web", **spec: Any) -> None:
        body = {"metadata": {"name": name}, "spec": {"clusterIP": VIP, "ports": ports, **spec}}
        await self.heard(await self.client.create(msgspec.convert(body, Service), "default"))

    async def delete(self, name: str) -> None:
        await self.client.delete(Service, name, "default")
        async with asyncio.timeout(15):
            while ("default", name) in self.proxy.table.plans:
                await asyncio.sleep(0.005)
            await self.proxy.settled.wait()

    async def endpoints(
        self, *pods: str | dict[str, Any], name: str = "web", **ports: tuple[str, int]
    ) -> None:
        """Write the slice. A pod is a name, or a dictionary with name, node and conditions."""
        body = {
            "metadata": {
                "name": f"{name}-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [self._endpoint(pod) for pod in pods],
            "ports": [
                {"name": port, "protocol": protocol, "port": number}
                for port, (protocol, number) in (ports or {"": ("TCP", 8080)}).items()
            ],
        }
        one = msgspec.convert(body, EndpointSlice)
        try:
            stored = await self.client.create(one, "default")
        except StatusError:
            stored = await self.client.update(one)
        await self.heard(stored)

    def _endpoint(self, pod: str | dict[str, Any]) -> dict[str, Any]:
        given = {"name": pod} if isinstance(pod, str) else pod
        return {
            "addresses": [self.land[given["name"]].ip],
            "nodeName": given.get("node", "here"),
            "conditions": given.get("conditions", {"ready": True}),
            "zone": given.get("zone"),
        }

    async def heard(self, stored: Service | EndpointSlice) -> None:
        """Until the proxy has got an object and the kernel what it means."""
        informer: Any = self.services.services if isinstance(stored, Service) else self.services.slices
        async with asyncio.timeout(15):
            while True:
                seen = informer.get(stored.metadata.name or "", "default")
                if seen is not None and seen.metadata.resource_version == stored.metadata.resource_version:
                    break
                await asyncio.sleep(0.005)
            await self.proxy.settled.wait()

    async def tcp(self, who: str, ip: str = VIP, port: int = 80, times: int = 1) -> list[str]:
        return await asyncio.to_thread(self.land[who].tcp, ip, port, times)

    async def servers(self, who: str, ip: str = VIP, port: int = 80, times: int = 60) -> set[str]:
        return {answer.split()[0] for answer in await self.tcp(who, ip, port, times)}


@pytest.fixture
async def world(land: Ground, tmp_path: Path) -> AsyncIterator[World]:
    store = SqliteStore(str(tmp_path / "store.db"))
    await store.start()
    registry = Registry(store, scheme(), admission=plugins(service_cidr="10.96.0.0/16", toleration_seconds=1))
    await registry.start()
    client = LocalClient(registry, User(name="test", groups=("system:masters",)))
    with contextlib.suppress(StatusError):
        await client.create(msgspec.convert({"metadata": {"name": "default"}}, Namespace))
    here = World(land, client)
    tasks = [asyncio.create_task(here.services.run()), asyncio.create_task(here.proxy.run())]
    try:
        await asyncio.wait_for(here.proxy.settled.wait(), 30)
        yield here
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await here.proxy.remove()
        assert "navarch" not in land.nft("list", "ruleset")
        await registry.close()
        await store.close()


PORT80 = [{"port": 80, "targetPort": 8080}]


async def test_connections_are_spread_and_keep_their_source(world: World) -> None:
    await world.service(PORT80)
    await world.endpoints(*PODS)
    answers = await world.tcp("pod4", times=400)
    counts = Counter(answers)
    assert set(counts) == {f"{pod} {world.land['pod4'].ip}" for pod in PODS}
    assert min(counts.values()) > 50
    assert await world.servers("node") == set(PODS)


async def test_a_pod_reaches_itself_through_its_service(world: World) -> None:
    await world.service(PORT80)
    await world.endpoints("pod1")
    (answer,) = await world.tcp("pod1")
    assert answer.startswith("pod1 ")


async def test_without_endpoints_and_unknown_addresses_are_refused_at_once(world: World) -> None:
    await world.service(
        [{"port": 80, "nodePort": 30080}],
        type="NodePort",
        externalIPs=[EXTERNAL],
    )
    loop = asyncio.get_running_loop()
    for who, ip, port in (
        *(("pod1", VIP, 80), ("node", VIP, 80), ("pod1", "10.96.7.7", 443), ("node", "10.96.7.7", 443)),
        *(("outside", NODE, 30080), ("node", NODE, 30080), ("pod1", EXTERNAL, 80), ("outside", VIP, 80)),
    ):
        took = 1.0
        for _ in range(3):  # a busy machine is slow now and then, silence takes its second each time
            if took >= 1.0:
                began = loop.time()
                assert await world.tcp(who, ip, port) == ["ConnectionRefusedError"], (who, ip, port)
                took = loop.time() - began
        assert took < 1.0, (who, ip, port)  # before it would be tried a second time
    began = loop.time()
    assert world.land["pod1"].udp("unknown", "10.96.7.7", 53) == "ConnectionRefusedError"
    assert loop.time() - began < 5.0  # when a datagram is given up


async def test_what_a_service_does_not_have_is_refused_by_udp_too(world: World) -> None:
    await world.service([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "web", "port": 80}])
    await world.endpoints("pod1", dns=("UDP", 8053), web=("TCP", 8080))
    land = world.land
    # The kernel lets a node's own datagram fail where it is sent.
    refused = {"pod4": "ConnectionRefusedError", "node": "PermissionError"}
    for who in ("pod4", "node"):
        assert land[who].udp("known", VIP, 53).startswith("pod1")
        for number, (ip, port) in enumerate(((VIP, 54), (VIP, 80), ("10.96.7.7", 53))):
            key = f"{who}-unknown-{number}"
            assert land[who].udp(key, ip, port) == refused[who], (who, ip, port)
        assert await world.tcp(who, VIP, 53) == ["ConnectionRefusedError"]
        assert await world.tcp(who, VIP, 81) == ["ConnectionRefusedError"]
    await world.endpoints(dns=("UDP", 8053), web=("TCP", 8080))
    for who in ("pod4", "node"):
        assert land[who].udp(f"{who}-none", VIP, 53) == refused[who]
        assert await world.tcp(who) == ["ConnectionRefusedError"]


async def test_a_change_leaves_other_connections_alone(world: World) -> None:
    await world.service(PORT80)
    await world.endpoints("pod1", "pod2")
    land = world.land
    held = {f"c{number}": land["pod4"].open(f"c{number}", VIP, 80) for number in range(32)}
    assert {answer.split()[0] for answer in held.values()} == {"pod1", "pod2"}
    await world.endpoints("pod2", "pod3")
    assert await world.servers("pod4") == {"pod2", "pod3"}
    await world.endpoints("pod3")
    assert await world.servers("pod4") == {"pod3"}
    for key in held:
        assert land["pod4"].say(key) == "hello"


async def test_readiness_decides_and_ending_ones_serve_when_nothing_else_does(world: World) -> None:
    ending = {"ready": False, "serving": True, "terminating": True}
    await world.service(PORT80)
    await world.endpoints(
        "pod1", {"name": "pod2", "conditions": {"ready": False}}, {"name": "pod3", "conditions": ending}
    )
    assert await world.servers("pod4") == {"pod1"}
    await world.endpoints(
        {"name": "pod2", "conditions": {"ready": False}}, {"name": "pod3", "conditions": ending}
    )
    assert await world.servers("pod4") == {"pod3"}
    await world.endpoints({"name": "pod2", "conditions": {"ready": False}})
    assert await world.tcp("pod4") == ["ConnectionRefusedError"]


async def test_a_client_with_affinity_stays_and_moves_only_when_its_endpoint_goes(world: World) -> None:
    await world.service(
        [{"port": 80, "targetPort": 8080, "nodePort": 30080}], type="NodePort", sessionAffinity="ClientIP"
    )
    await world.endpoints(*PODS)
    (first,) = await world.servers("pod4")
    assert await world.servers("pod4", NODE, 30080) == {first}
    others = [pod for pod in PODS if pod != first]
    await world.endpoints(first, "pod4")
    assert await world.servers("pod4") == {first}
    await world.endpoints(*others)
    (second,) = await world.servers("pod4")
    assert second in others
    await world.endpoints(*PODS)
    assert await world.servers("pod4") == {second}


async def test_affinity_outlives_the_kubelet(world: World) -> None:
    await world.service(PORT80, sessionAffinity="ClientIP")
    await world.endpoints(*PODS)
    firsts = {who: await world.servers(who, times=3) for who in ("pod4", "node", "pod1", "pod2")}
    assert all(len(servers) == 1 for servers in firsts.values())
    for _ in range(2):
        again = ServiceProxy(
            world.services,
            "here",
            service_cidr="10.96.0.0/16",
            cluster_cidr="10.244.0.0/16",
            kernel=world.proxy.kernel,
        )
        task = asyncio.create_task(again.run())
        try:
            async with asyncio.timeout(10):
                await again.settled.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert {who: await world.servers(who, times=3) for who in firsts} == firsts


async def test_affinity_ends_with_its_time(world: World) -> None:
    await world.service(
        PORT80, sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 1}}
    )
    await world.endpoints(*PODS)
    seen = set()
    for _ in range(8):
        seen |= await world.servers("pod4", times=2)
        if len(seen) > 1:
            return
        await asyncio.sleep(1.3)
    raise AssertionError(f"after eight pauses still {seen}")


async def test_a_node_port_from_outside_and_external_addresses(world: World) -> None:
    await world.service(
        [{"port": 80, "targetPort": 8080, "nodePort": 30080}], type="NodePort", externalIPs=[EXTERNAL]
    )
    await world.endpoints(*PODS)
    for who, ip, port in (
        *(("outside", NODE, 30080), ("outside", EXTERNAL, 80), ("pod4", NODE, 30080)),
        *(("node", NODE, 30080), ("pod4", EXTERNAL, 80), ("node", EXTERNAL, 80), ("pod1", NODE, 30080)),
    ):
        assert await world.servers(who, ip, port) == set(PODS), (who, ip, port)
    # The answer has to come back by this node, wherever the endpoint is.
    (answer, *_) = await world.tcp("outside", NODE, 30080)
    assert answer.split()[1] != world.land["outside"].ip


async def test_the_external_policy_local_keeps_the_source_and_the_node(world: World) -> None:
    await world.service(
        [{"port": 80, "targetPort": 8080, "nodePort": 30080}],
        type="NodePort",
        externalTrafficPolicy="Local",
        externalIPs=[EXTERNAL],
    )
    await world.endpoints("pod1", {"name": "pod2", "node": "elsewhere"})
    for ip, port in ((NODE, 30080), (EXTERNAL, 80)):
        assert set(await world.tcp("outside", ip, port, 20)) == {f"pod1 {world.land['outside'].ip}"}
        assert await world.servers("pod4", ip, port) == {"pod1", "pod2"}
        assert await world.servers("node", ip, port) == {"pod1", "pod2"}
    await world.endpoints({"name": "pod2", "node": "elsewhere"})
    # Silence, so that a balancer goes to another node; the cluster itself is served.
    assert await world.tcp("outside", NODE, 30080) == ["TimeoutError"]
    assert await world.servers("pod4", NODE, 30080) == {"pod2"}


async def test_the_internal_policy_local(world: World) -> None:
    await world.service(PORT80, internalTrafficPolicy="Local")
    await world.endpoints("pod1", {"name": "pod2", "node": "elsewhere"})
    assert await world.servers("pod4") == {"pod1"}
    await world.endpoints({"name": "pod2", "node": "elsewhere"})
    assert await world.tcp("pod4") == ["ConnectionRefusedError"]


async def test_several_named_ports_of_both_protocols(world: World) -> None:
    await world.service(
        [
            {"name": "web", "port": 80, "targetPort": "http"},
            {"name": "alt", "port": 81, "targetPort": "http"},
            {"name": "dns", "port": 80, "protocol": "UDP", "targetPort": "dns"},
        ]
    )
    await world.endpoints("pod1", web=("TCP", 8080), alt=("TCP", 8080), dns=("UDP", 8053))
    assert await world.servers("pod4", port=80) == {"pod1"}
    assert await world.servers("pod4", port=81) == {"pod1"}
    assert world.land["pod4"].udp("both", VIP, 80) == f"pod1 {world.land['pod4'].ip}"
    assert await world.tcp("pod4", port=82) == ["ConnectionRefusedError"]


async def test_a_talk_by_udp_leaves_an_endpoint_that_is_gone(world: World) -> None:
    await world.service([{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}], type="NodePort")
    client, outside = world.land["pod4"], world.land["outside"]
    assert client.udp("early", NODE, 30053) == "ConnectionRefusedError"
    await world.endpoints("pod1", dns=("UDP", 8053))
    for _ in range(2):
        assert client.udp("talk", VIP, 53).startswith("pod1")
        assert outside.udp("talk", NODE, 30053).startswith("pod1")
    assert client.udp("early", NODE, 30053).startswith("pod1")
    await world.endpoints("pod2", dns=("UDP", 8053))
    assert client.udp("talk", VIP, 53).startswith("pod2")
    assert outside.udp("talk", NODE, 30053).startswith("pod2")
    await world.endpoints("pod2", "pod3", dns=("UDP", 8053))
    assert client.udp("talk", VIP, 53).startswith("pod2")


BALANCED = "203.0.113.20"


async def balanced(world: World, **spec: Any) -> None:
    """A service that has got an address of a load balancer."""
    given = {"port": 80, "targetPort": 8080, "nodePort": 30080}
    await world.service([given], type="LoadBalancer", **spec)
    made = await world.client.get(Service, "web", "default")
    status = msgspec.convert({"loadBalancer": {"ingress": [{"ip": BALANCED}]}}, ServiceStatus)
    changed = msgspec.structs.replace(made, status=status)
    await world.heard(await world.client.update(changed, subresource="status"))


async def test_a_balancers_address_takes_clients_of_its_ranges_only(world: World) -> None:
    outside, pod4 = world.land["outside"].ip, world.land["pod4"].ip
    await balanced(world, loadBalancerSourceRanges=[f"{outside}/32", "10.1.0.0/16", "10.1.2.0/24"])
    await world.endpoints("pod1")
    assert await world.servers("outside", BALANCED, times=2) == {"pod1"}
    assert await world.tcp("pod4", BALANCED) == ["TimeoutError"]
    assert await world.servers("pod4", NODE, 30080, times=2) == {"pod1"}
    made = await world.client.get(Service, "web", "default")
    assert made.spec is not None
    spec = msgspec.structs.replace(made.spec, load_balancer_source_ranges=[f"{pod4}/32"])
    await world.heard(await world.client.update(msgspec.structs.replace(made, spec=spec)))
    assert await world.servers("pod4", BALANCED, times=2) == {"pod1"}
    assert await world.tcp("outside", BALANCED) == ["TimeoutError"]
    await world.delete("web")
    assert "sources_" not in world.land.nft("list", "table", "ip", "navarch_services")


async def test_the_health_port_tells_of_local_endpoints(world: World) -> None:
    await balanced(world, externalTrafficPolicy="Local")
    made = await world.client.get(Service, "web", "default")
    assert made.spec is not None and made.spec.health_check_node_port
    url = f"http://{NODE}:{made.spec.health_check_node_port}/healthz"

    def ask() -> tuple[int, Any, str | None]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, json.load(answer), answer.headers["X-Load-Balancing-Endpoint-Weight"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers["X-Load-Balancing-Endpoint-Weight"]

    async def asked(who: str = "outside") -> tuple[int, Any, str | None]:
        return await asyncio.to_thread(run_in, world.land[who].process.pid, ask)

    said = {"service": {"namespace": "default", "name": "web"}, "serviceProxyHealthy": True}
    await world.endpoints({"name": "pod2", "node": "elsewhere"})
    assert await asked() == (503, said | {"localEndpoints": 0}, "0")
    await world.endpoints("pod1", "pod3", {"name": "pod2", "node": "elsewhere"})
    for who in ("outside", "pod4", "node"):
        assert await asked(who) == (200, said | {"localEndpoints": 2}, "2")
    # Open wherever node ports are: a firewall lets in what was translated.
    firewall = "add table ip strict { chain input { type filter hook input priority 0; policy drop;"
    world.land.nft(f"{firewall} ct status dnat accept; ct state established accept; }}; }}")
    try:
        assert (await asked())[0] == 200
    finally:
        world.land.nft("delete table ip strict")
    ending = {"ready": False, "serving": True, "terminating": True}
    await world.endpoints({"name": "pod1", "conditions": ending})
    assert (await asked())[0] == 503
    assert await world.servers("outside", NODE, 30080, times=2) == {"pod1"}
    await world.delete("web")
    with pytest.raises(OSError, match="refused"):
        await asked()


async def test_a_service_may_prefer_endpoints_that_are_near(world: World) -> None:
    far = {"name": "pod2", "node": "elsewhere", "zone": "east"}
    near = {"name": "pod3", "node": "elsewhere", "zone": "west"}
    await world.service(PORT80, trafficDistribution="PreferSameNode")
    world.proxy.set_zone("west")
    await world.endpoints("pod1", far, near)
    assert await world.servers("pod4") == {"pod1"}
    await world.endpoints(far, near)
    assert await world.servers("pod4") == {"pod3"}
    await world.endpoints(far)
    assert await world.servers("pod4") == {"pod2"}


async def test_headless_and_external_names_have_no_rules(world: World) -> None:
    await world.service(PORT80, name="headless", clusterIP="None")
    body = {"metadata": {"name": "away"}, "spec": {"type": "ExternalName", "externalName": "example.org"}}
    await world.client.create(msgspec.convert(body, Service), "default")
    await world.service(PORT80)
    await world.endpoints("pod1")
    assert set(world.proxy.table.plans) == {("default", "web")}


async def test_a_service_that_is_deleted_takes_its_elements_along(world: World) -> None:
    empty = world.land.nft("list", "table", "ip", "navarch_services")
    await world.service(
        [{"port": 80, "targetPort": 8080, "nodePort": 30080}], type="NodePort", sessionAffinity="ClientIP"
    )
    await world.endpoints(*PODS)
    assert await world.servers("pod4", times=3) < set(PODS)
    await world.delete("web")
    assert world.land.nft("list", "table", "ip", "navarch_services") == empty


async def test_two_services_with_one_external_address_do_not_share_it(world: World) -> None:
    await world.service(PORT80, externalIPs=[EXTERNAL])
    await world.endpoints("pod1")
    await world.service(PORT80, name="second", clusterIP="10.96.0.11", externalIPs=[EXTERNAL])
    await world.endpoints("pod2", name="second")
    assert await world.servers("pod4", EXTERNAL) == {"pod1"}
    await world.delete("web")
    assert await world.servers("pod4", EXTERNAL) == {"pod2"}


async def test_a_table_that_somebody_flushed_comes_back(world: World) -> None:
    await world.service(PORT80)
    await world.endpoints("pod1")
    world.land.nft("flush", "ruleset")
    async with asyncio.timeout(15):
        while VIP not in world.land.nft("list", "ruleset"):
            await asyncio.sleep(0.05)
    assert await world.servers("pod4") == {"pod1"}


async def test_a_batch_that_the_kernel_refuses_leads_to_the_whole(world: World) -> None:
    await world.service(PORT80)
    await world.endpoints("pod1")
    world.land.nft("delete", "element", "ip", "navarch_services", "services", f"{{ {VIP} . tcp . 80 }}")
    await world.endpoints("pod1", "pod2")
    assert await world.servers("pod4") == {"pod1", "pod2"}
