# SPDX-License-Identifier: GPL-3.0-or-later
"""EndpointSlices follow the pods of their service, in as few and as small writes as can be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from navarch.api.core.endpoints import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from navarch.api.core.pod.container import Container, ContainerPort
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.reference import ObjectReference
from navarch.api.core.service.service import Service, ServicePort, ServiceSpec
from navarch.api.discovery.endpointslice import Endpoint, EndpointSlice
from navarch.api.machinery.meta import ObjectMeta
from navarch.controllers.endpointslices import MOST, spread
from navarch.kubelet.simulated import SimulatedNodes

LABELS = {"app": "web"}


@pytest.fixture
async def nodes(cluster: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(SimulatedNodes(cluster.client, 3).run(), name="nodes")
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def pod(cluster: Any, name: str, **spec: Any) -> None:
    port = ContainerPort(container_port=8080, name="http")
    container = Container(name="c", image="x", ports=[port])
    await cluster.client.create(
        Pod(
            metadata=ObjectMeta(name=name, namespace="default", labels=LABELS),
            spec=PodSpec(containers=[container], **spec),
        )
    )


async def service(cluster: Any, **spec: Any) -> None:
    ports = [ServicePort(name="web", port=80, target_port="http")]
    wanted = ServiceSpec(ports=ports, **spec)
    await cluster.client.create(Service(metadata=ObjectMeta(name="web", namespace="default"), spec=wanted))


async def slices(cluster: Any) -> list[EndpointSlice]:
    listing = await cluster.client.list(EndpointSlice, "default", labels="kubernetes.io/service-name=web")
    found: list[EndpointSlice] = sorted(listing.items, key=lambda s: s.metadata.name or "")
    return found


def conditions(slice: EndpointSlice) -> list[tuple[Any, Any, Any]]:
    return [
        (e.conditions.ready, e.conditions.serving, e.conditions.terminating)
        for e in slice.endpoints or ()
        if e.conditions
    ]


async def count(cluster: Any, wanted: int) -> list[EndpointSlice]:
    async def check() -> list[EndpointSlice] | None:
        found = await slices(cluster)
        return found if sum(len(s.endpoints or ()) for s in found) == wanted and found else None

    result: list[EndpointSlice] = await cluster.eventually(check)
    return result


@pytest.mark.usefixtures("nodes")
async def test_slices_follow_pods_and_their_states(cluster: Any) -> None:
    await service(cluster, selector=LABELS)
    [empty] = await count(cluster, 0)
    assert empty.address_type == "IPv4"
    await pod(cluster, "a", hostname="a", subdomain="web")
    await pod(cluster, "b")
    [slice] = await count(cluster, 2)
    assert slice.metadata.labels == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert [(p.name, p.port, p.protocol) for p in slice.ports or ()] == [("web", 8080, "TCP")]
    assert conditions(slice) == [(True, True, False)] * 2
    assert {e.hostname for e in slice.endpoints or ()} == {"a", None}
    assert all(e.node_name and e.target_ref for e in slice.endpoints or ())

    sick = [{"type": "Ready", "status": "False"}]
    await cluster.client.patch(
        Pod, "b", "default", {"status": {"conditions": sick}}, type="strategic", subresource="status"
    )

    async def one_sick() -> bool:
        return sorted(conditions((await slices(cluster))[0])) == [(False, False, False), (True, True, False)]

    await cluster.eventually(one_sick)
    await cluster.client.delete(Service, "web", "default")

    async def gone() -> bool:
        return not await slices(cluster)

    await cluster.eventually(gone)


@pytest.mark.usefixtures("nodes")
async def test_a_hundred_to_a_slice_and_one_change_is_one_write(cluster: Any) -> None:
    await service(cluster, selector=LABELS)
    await asyncio.gather(*(pod(cluster, f"p{i}") for i in range(130)))
    found = await count(cluster, 130)
    assert all(len(s.endpoints or ()) <= MOST for s in found)
    await asyncio.sleep(0.3)
    before = {s.metadata.name: s for s in await slices(cluster)}
    assert len(before) == 2
    await cluster.client.delete(Pod, "p7", "default")
    after = {s.metadata.name: s for s in await count(cluster, 129)}
    assert set(after) == set(before)
    changed = [
        n for n, s in after.items() if s.metadata.resource_version != before[n].metadata.resource_version
    ]
    assert len(changed) == 1


async def test_a_pod_that_ends_still_serves_and_is_not_ready(cluster: Any) -> None:
    await service(cluster, selector=LABELS)
    await pod(cluster, "a", node_name="n")
    status = {
        "phase": "Running",
        "podIP": "10.244.0.9",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    await cluster.client.patch(Pod, "a", "default", {"status": status}, subresource="status")
    await count(cluster, 1)
    await cluster.client.delete(Pod, "a", "default", grace=30)

    async def ending() -> bool:
        return conditions((await slices(cluster))[0]) == [(False, True, True)]

    await cluster.eventually(ending)


async def running(cluster: Any, name: str, ip: str, *ports: ContainerPort) -> None:
    container = Container(name="c", image="x", ports=list(ports) or None)
    meta = ObjectMeta(name=name, namespace="default", labels=LABELS)
    await cluster.client.create(Pod(metadata=meta, spec=PodSpec(containers=[container], node_name="n")))
    ready = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "podIP": ip, "conditions": ready}
    await cluster.client.patch(Pod, name, "default", {"status": status}, subresource="status")


@pytest.mark.parametrize("cluster_ip", ["None", None])
async def test_a_headless_service_names_pods_that_lack_its_port(cluster: Any, cluster_ip: str | None) -> None:
    await service(cluster, selector=LABELS, cluster_ip=cluster_ip)
    await running(cluster, "with", "10.244.0.9", ContainerPort(container_port=8080, name="http"))
    await running(cluster, "without", "10.244.0.10")
    expected = {("10.244.0.9",): [8080]} | ({("10.244.0.10",): []} if cluster_ip else {})

    async def named() -> bool:
        found = {
            tuple(e.addresses[0] for e in s.endpoints or ()): [p.port for p in s.ports or ()]
            for s in await slices(cluster)
        }
        return found == expected

    await cluster.eventually(named)
    await asyncio.sleep(0.2)
    assert await named()

    async def with_ports() -> bool:
        found = (await cluster.client.list(Endpoints, "default")).items
        subsets = [s for e in found if e.metadata.name == "web" for s in e.subsets or ()]
        return [[a.ip for a in s.addresses or ()] for s in subsets] == [["10.244.0.9"]]

    await cluster.eventually(with_ports)


async def test_endpoints_made_by_hand_are_mirrored(cluster: Any) -> None:
    await service(cluster)
    subset = EndpointSubset(
        addresses=[EndpointAddress(ip="192.0.2.7")], ports=[EndpointPort(name="web", port=81)]
    )
    made = Endpoints(metadata=ObjectMeta(name="web", namespace="default"), subsets=[subset])
    await cluster.client.create(made)
    [slice] = await count(cluster, 1)
    assert [(p.name, p.port) for p in slice.ports or ()] == [("web", 81)]
    labels = slice.metadata.labels or {}
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslicemirroring-controller.k8s.io"


async def test_a_mirror_is_its_endpoints_and_has_every_address_of_theirs(cluster: Any) -> None:
    await service(cluster)
    same = ObjectReference(kind="Pod", namespace="default", name="db", uid="one-uid")
    addresses = [EndpointAddress(ip=f"192.0.2.{n}", target_ref=same) for n in (7, 8)]
    subset = EndpointSubset(addresses=addresses, ports=[EndpointPort(name="web", port=81)])
    notes = {"acme.com/note": "n", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    meta = ObjectMeta(name="web", namespace="default", labels={"made": "by-hand"}, annotations=notes)
    made = await cluster.client.create(Endpoints(metadata=meta, subsets=[subset]))
    [slice] = await count(cluster, 2)
    assert [e.addresses for e in slice.endpoints or ()] == [["192.0.2.7"], ["192.0.2.8"]]
    assert slice.metadata.labels == {
        "made": "by-hand",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert slice.metadata.annotations == {"acme.com/note": "n"}
    owners = [(o.kind, o.name, o.uid, o.controller) for o in slice.metadata.owner_references or ()]
    assert owners == [("Endpoints", "web", made.metadata.uid, True)]

    labels = {"metadata": {"labels": {"made": "anew"}}}
    await cluster.client.patch(Endpoints, "web", "default", labels)

    async def anew() -> bool:
        return ((await slices(cluster))[0].metadata.labels or {})["made"] == "anew"

    await cluster.eventually(anew)
    await asyncio.sleep(0.2)
    version = (await slices(cluster))[0].metadata.resource_version
    await asyncio.sleep(0.3)
    assert (await slices(cluster))[0].metadata.resource_version == version  # and rests


def endpoint(number: int) -> Endpoint:
    return Endpoint(addresses=[f"10.0.{number // 250}.{number % 250}"])


def wanted(*numbers: int) -> dict[str, Endpoint]:
    return {e.addresses[0]: e for e in map(endpoint, numbers)}


def test_spread_leaves_endpoints_where_they_are() -> None:
    assert spread({}, []) == ([], [[]])
    assert spread({}, [[endpoint(1)], [endpoint(2)]]) == ([[], None], [])
    plan, fresh = spread(wanted(*range(250)), [])
    assert plan == []
    assert [len(s) for s in fresh] == [100, 100, 50]
    plan, more = spread(wanted(*range(1, 250), 300), fresh)
    assert more == []
    moved = [i for i, (old, new) in enumerate(zip(fresh, plan, strict=True)) if old != new]
    assert len(moved) == 1  # the new one took the place of the old


def test_spread_packs_what_is_far_too_loose() -> None:
    loose = [[endpoint(i)] for i in range(5)]
    plan, fresh = spread(wanted(*range(5)), loose)
    assert fresh == []
    assert [len(s) for s in plan if s is not None] == [5]
    assert plan.count(None) == 4
    assert msgspec.json.encode(plan[0])
