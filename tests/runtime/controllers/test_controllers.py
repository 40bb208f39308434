# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controllers promise, seen through the client interface of a running cluster."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from navarch.api.coordination.lease import Lease, LeaseSpec
from navarch.api.core.configmap import ConfigMap
from navarch.api.core.endpoints import Endpoints
from navarch.api.core.event import Event
from navarch.api.core.namespace import Namespace
from navarch.api.core.node.node import Node
from navarch.api.core.pod.container import Container, ContainerPort
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.podtemplate import PodTemplateSpec
from navarch.api.core.replicationcontroller import ReplicationController, ReplicationControllerSpec
from navarch.api.core.service.service import Service, ServicePort, ServiceSpec
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, OwnerReference, now, now_micro
from navarch.controllers import namespaces, podgc
from navarch.kubelet.simulated import SimulatedNodes

LABELS = {"app": "web"}


def pod_spec(**kw: Any) -> PodSpec:
    port = ContainerPort(container_port=8080, name="http")
    return PodSpec(containers=[Container(name="c", image="x", ports=[port])], **kw)


def rc(name: str = "web", replicas: int = 3) -> ReplicationController:
    template = PodTemplateSpec(metadata=ObjectMeta(labels=LABELS), spec=pod_spec())
    spec = ReplicationControllerSpec(replicas=replicas, selector=LABELS, template=template)
    return ReplicationController(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


async def pods(cluster: Any, namespace: str = "default") -> list[Pod]:
    return (await cluster.client.list(Pod, namespace)).items


async def running(cluster: Any, count: int) -> list[Pod]:
    async def check() -> list[Pod] | bool:
        found = [p for p in await pods(cluster) if not p.metadata.deletion_timestamp]
        return (
            found
            if len(found) == count and all(p.status and p.status.phase == "Running" for p in found)
            else False
        )

    found: list[Pod] = await cluster.eventually(check)
    return found


@pytest.fixture
async def nodes(cluster: Any) -> Any:
    """Two simulated nodes that run pods."""
    task = asyncio.create_task(SimulatedNodes(cluster.client, 2).run(), name="nodes")

    async def both() -> bool:  # else the pods may all go to the first one
        found = (await cluster.client.list(Node)).items
        return len(found) == 2 and all(
            n.status and n.status.allocatable and n.spec and n.spec.pod_cidr and not n.spec.taints
            for n in found
        )

    await cluster.eventually(both)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_replicas_are_kept_at_their_number(cluster: Any, nodes: Any) -> None:
    await cluster.client.create(rc())
    found = await running(cluster, 3)
    assert len({p.spec.node_name for p in found if p.spec}) == 2
    await cluster.client.delete(Pod, found[0].metadata.name or "", "default")
    again = await running(cluster, 3)
    assert found[0].metadata.uid not in {p.metadata.uid for p in again}
    await cluster.client.patch(ReplicationController, "web", "default", {"spec": {"replicas": 1}})
    await running(cluster, 1)

    async def told() -> bool:
        status = (await cluster.client.get(ReplicationController, "web", "default")).status
        return bool(
            status and status.replicas == 1 and status.ready_replicas == 1 and status.available_replicas == 1
        )

    await cluster.eventually(told)


async def test_the_pods_that_can_best_be_spared_go_first(cluster: Any) -> None:
    noon, evening = "2026-01-01T12:00:00Z", "2026-01-01T18:00:00Z"
    ready = {"phase": "Running", "conditions": ready_since(noon)}
    lately = {"phase": "Running", "conditions": ready_since(evening)}
    restarted = [{"name": "c", "restartCount": 2, "image": "x", "imageID": "x", "ready": True}]
    states: dict[str, tuple[str | None, dict[str, Any]]] = {
        "9-unassigned": (None, {}),
        "8-pending": ("n8", {"phase": "Pending"}),
        "7-unknown": ("n7", {"phase": "Unknown"}),
        "6-unready": ("n6", {"phase": "Running"}),
        "5-cheap": ("n5", ready),
        "4-doubled": ("n", ready),
        "3-lately": ("n3", lately),
        "2-restarted": ("n2", ready | {"containerStatuses": restarted}),
        "1-useful": ("n", ready),
        "0-dear": ("n0", lately),
    }
    cost = "controller.kubernetes.io/pod-deletion-cost"
    costs = {
        "5-cheap": {cost: "-1"},
        "1-useful": {cost: "1"},
        "0-dear": {cost: "10"},
        "6-unready": {cost: "x"},
    }
    for name, (node, status) in states.items():
        meta = ObjectMeta(name=name, namespace="default", labels=LABELS, annotations=costs.get(name))
        await cluster.client.create(Pod(metadata=meta, spec=pod_spec(node_name=node)))
        await cluster.client.patch(
            Pod, name, "default", {"status": status}, type="strategic", subresource="status"
        )
    await cluster.client.create(rc(replicas=len(states)))

    async def living() -> set[str]:
        return {p.metadata.name or "" for p in await pods(cluster) if not p.metadata.deletion_timestamp}

    async def counted() -> bool:
        status = (await cluster.client.get(ReplicationController, "web", "default")).status
        return bool(status and status.replicas == len(states))

    await cluster.eventually(counted)
    order, left = [], set(states)
    while len(left) > 1:
        replicas = {"spec": {"replicas": len(left) - 1}}
        await cluster.client.patch(ReplicationController, "web", "default", replicas)

        async def fewer(than: int = len(left)) -> set[str]:
            found = await living()
            return found if len(found) < than else set()

        found = await cluster.eventually(fewer)
        order += sorted(left - found)
        left = found
    assert [*order, *left] == list(states)


def ready_since(moment: str) -> list[dict[str, str]]:
    return [{"type": "Ready", "status": "True", "lastTransitionTime": moment}]


async def test_no_replica_too_many_is_ever_made(cluster: Any, nodes: Any) -> None:
    """The informer lags behind the controller's own creates; the uids that ever existed tell whether it
    counted them."""
    listing = await cluster.client.list(Pod, "default")
    watch = await cluster.client.watch(Pod, "default", since=listing.resource_version)
    seen: set[str] = set()

    async def follow() -> None:
        async for batch in watch:
            seen.update(e.object.metadata.uid or "" for e in batch if e.object is not None)

    following = asyncio.create_task(follow())
    await cluster.client.create(rc(replicas=40))
    await running(cluster, 40)
    await asyncio.sleep(0.3)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await watch.close()
    assert len(seen) == 40


async def test_orphans_are_adopted_and_strays_released(cluster: Any, nodes: Any) -> None:
    orphan = await cluster.client.create(
        Pod(metadata=ObjectMeta(name="orphan", namespace="default", labels=LABELS), spec=pod_spec())
    )
    await cluster.client.create(rc(replicas=2))
    found = await running(cluster, 2)
    assert orphan.metadata.uid in {p.metadata.uid for p in found}
    await cluster.client.patch(Pod, "orphan", "default", {"metadata": {"labels": {"app": "other"}}})

    async def released() -> bool:
        stray = await cluster.client.get(Pod, "orphan", "default")
        return not stray.metadata.owner_references and len(await pods(cluster)) == 3

    await cluster.eventually(released)


async def test_deleting_the_owner_deletes_its_pods(cluster: Any, nodes: Any) -> None:
    await cluster.client.create(rc())
    await running(cluster, 3)
    await cluster.client.delete(ReplicationController, "web", "default", propagation="Background")

    async def gone() -> bool:
        return not await pods(cluster)

    await cluster.eventually(gone)


async def test_foreground_deletion_waits_for_the_pods(cluster: Any, nodes: Any) -> None:
    await cluster.client.create(rc())
    await running(cluster, 3)
    await cluster.client.delete(ReplicationController, "web", "default", propagation="Foreground")

    async def gone() -> bool:
        try:
            await cluster.client.get(ReplicationController, "web", "default")
        except StatusError as error:
            assert error.code == 404
            assert not await pods(cluster)
            return True
        return False

    await cluster.eventually(gone)


async def test_orphan_deletion_leaves_the_pods(cluster: Any, nodes: Any) -> None:
    await cluster.client.create(rc())
    before = {p.metadata.uid for p in await running(cluster, 3)}
    await cluster.client.delete(ReplicationController, "web", "default", propagation="Orphan")

    async def left() -> bool:
        found = await pods(cluster)
        return {p.metadata.uid for p in found} == before and not any(
            p.metadata.owner_references for p in found
        )

    await cluster.eventually(left)

    async def gone() -> bool:
        return not (await cluster.client.list(ReplicationController, "default")).items

    await cluster.eventually(gone)
    assert await left()


async def test_an_object_whose_owner_never_was_is_collected(cluster: Any) -> None:
    owner = OwnerReference(api_version="v1", kind="ReplicationController", name="ghost", uid="no-such-uid")
    metadata = ObjectMeta(name="stray", namespace="default", owner_references=[owner])
    await cluster.client.create(Pod(metadata=metadata, spec=pod_spec()))

    async def gone() -> bool:
        return not await pods(cluster)

    await cluster.eventually(gone)


async def test_every_node_gets_a_range_of_its_own_and_a_freed_one_is_reused(cluster: Any) -> None:
    async def ranges() -> dict[str, str]:
        return {
            n.metadata.name: n.spec.pod_cidr
            for n in (await cluster.client.list(Node)).items
            if n.spec and n.spec.pod_cidr
        }

    for number in range(5):  # the cluster's /22 holds four
        await cluster.client.create(Node(metadata=ObjectMeta(name=f"n{number}")))

    async def four() -> bool:
        return len(await ranges()) == 4

    await cluster.eventually(four)
    given = await ranges()

    async def told() -> list[str]:
        events = (await cluster.client.list(Event, "default")).items
        return [e.message or "" for e in events if e.reason == "CIDRNotAvailable"]

    assert await cluster.eventually(told) == [
        "no free pod range: clusterCIDR 10.244.0.0/22 holds 4 of /24:"
        " delete nodes that are gone, or give the master a wider clusterCIDR"
    ]
    assert sorted(given.values()) == [f"10.244.{number}.0/24" for number in range(4)]
    freed = next(iter(given))
    await cluster.client.delete(Node, freed)

    async def reused() -> bool:
        now_given = await ranges()
        return len(now_given) == 4 and freed not in now_given and given[freed] in now_given.values()

    await cluster.eventually(reused)


async def ready_node(cluster: Any, name: str) -> None:
    await cluster.client.create(Node(metadata=ObjectMeta(name=name)))
    conditions = [
        {"type": "Ready", "status": "True", "lastHeartbeatTime": now(), "lastTransitionTime": now()}
    ]
    offer = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    status = {"status": {"conditions": conditions, "capacity": offer, "allocatable": offer}}
    await cluster.client.patch(Node, name, None, status, type="strategic", subresource="status")


async def renew(cluster: Any, name: str) -> None:
    """Its lease, every tenth of a second until cancelled."""
    meta = ObjectMeta(name=name, namespace="kube-node-lease")
    lease = await cluster.client.create(
        Lease(metadata=meta, spec=LeaseSpec(holder_identity=name, renew_time=now_micro()))
    )
    while True:
        await asyncio.sleep(0.1)
        spec = msgspec.structs.replace(lease.spec, renew_time=now_micro())
        lease = await cluster.client.update(msgspec.structs.replace(lease, spec=spec))


@pytest.mark.parametrize("grace", [3.0])  # longer than a pause of this process that goes unnoticed
async def test_a_silent_node_becomes_unknown_its_pods_move_and_it_comes_back(cluster: Any) -> None:
    for name in ("quiet", "lively"):
        await ready_node(cluster, name)
    beats = {name: asyncio.create_task(renew(cluster, name)) for name in ("quiet", "lively")}
    try:
        pod = Pod(metadata=ObjectMeta(name="p", namespace="default"), spec=pod_spec(node_name="quiet"))
        await cluster.client.create(pod)
        ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        await cluster.client.patch(Pod, "p", "default", ready, type="strategic", subresource="status")
        beats["quiet"].cancel()

        async def taints(name: str) -> set[tuple[str, str]]:
            node = await cluster.client.get(Node, name)
            return {(t.key, t.effect) for t in (node.spec.taints if node.spec else None) or ()}

        async def unreachable() -> bool:
            key = "node.kubernetes.io/unreachable"
            return await taints("quiet") == {(key, "NoSchedule"), (key, "NoExecute")}

        await cluster.eventually(unreachable)
        node = await cluster.client.get(Node, "quiet")
        assert {c.type: c.status for c in node.status.conditions}["Ready"] == "Unknown"
        assert await taints("lively") == set()

        async def not_ready() -> bool:
            found = await cluster.client.get(Pod, "p", "default")
            return {c.type: c.status for c in found.status.conditions or ()}.get("Ready") == "False"

        await cluster.eventually(not_ready)

        async def evicted() -> bool:  # after the toleration of one second that admission gave it
            return (await cluster.client.get(Pod, "p", "default")).metadata.deletion_timestamp is not None

        await cluster.eventually(evicted)
        beats["quiet"] = asyncio.create_task(_resume(cluster, "quiet"))
        back = [{"type": "Ready", "status": "True", "lastHeartbeatTime": now(), "lastTransitionTime": now()}]
        await cluster.client.patch(
            Node, "quiet", None, {"status": {"conditions": back}}, type="strategic", subresource="status"
        )

        async def clean() -> bool:
            return await taints("quiet") == set()

        await cluster.eventually(clean)
    finally:
        for beat in beats.values():
            beat.cancel()
        await asyncio.gather(*beats.values(), return_exceptions=True)


async def disrupted(cluster: Any, name: str) -> tuple[str | None, str | None]:
    """Why a pod that is being deleted was, as it says itself, and its phase."""

    async def told() -> Any:
        pod = await cluster.client.get(Pod, name, "default")
        return pod.status if pod.metadata.deletion_timestamp else None

    status = await cluster.eventually(told)
    [condition] = [c for c in status.conditions or () if c.type == "DisruptionTarget"]
    assert condition.status == "True"
    assert condition.last_transition_time
    return condition.reason, status.phase


async def held_pod(cluster: Any, node: str) -> None:
    meta = ObjectMeta(name="p", namespace="default", finalizers=["acme.com/hold"])
    await cluster.client.create(Pod(metadata=meta, spec=pod_spec(node_name=node)))
    status = {"status": {"phase": "Running"}}
    await cluster.client.patch(Pod, "p", "default", status, subresource="status")


async def test_a_pod_that_a_taint_drives_away_says_so(cluster: Any) -> None:
    await cluster.client.create(Node(metadata=ObjectMeta(name="n")))
    await held_pod(cluster, "n")
    taint = {"key": "acme.com/away", "effect": "NoExecute"}
    await cluster.client.patch(Node, "n", None, {"spec": {"taints": [taint]}}, type="strategic")
    assert await disrupted(cluster, "p") == ("DeletionByTaintManager", "Running")


@pytest.fixture
def impatient_podgc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podgc, "_QUARANTINE", 0.2)
    monkeypatch.setattr(podgc, "_PERIOD", 0.1)


async def test_a_pod_of_a_node_that_is_gone_says_so_and_has_failed(
    impatient_podgc: None, cluster: Any
) -> None:
    await held_pod(cluster, "never-there")
    assert await disrupted(cluster, "p") == ("DeletionByPodGC", "Failed")
    version = (await cluster.client.get(Pod, "p", "default")).metadata.resource_version
    await asyncio.sleep(0.5)
    assert (await cluster.client.get(Pod, "p", "default")).metadata.resource_version == version


@pytest.mark.parametrize("grace", [2.0])
async def test_time_in_which_the_master_did_not_run_is_no_silence_of_nodes(cluster: Any) -> None:
    await ready_node(cluster, "lively")
    beat = asyncio.create_task(renew(cluster, "lively"))
    try:
        await asyncio.sleep(0.5)
        # Neither beats nor controllers run, as when the machine stood still.
        time.sleep(4)  # noqa: ASYNC251 - the loop is to be blocked
        await asyncio.sleep(1)
        told = [event.reason for event in (await cluster.client.list(Event, "default")).items]
        assert "NodeNotReady" not in told
        node = await cluster.client.get(Node, "lively")
        assert [(c.type, c.status) for c in node.status.conditions] == [("Ready", "True")]
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)


async def _resume(cluster: Any, name: str) -> None:
    await cluster.client.delete(Lease, name, "kube-node-lease")
    await renew(cluster, name)


async def test_endpoints_follow_ready_pods_and_named_ports(cluster: Any, nodes: Any) -> None:
    spec = ServiceSpec(selector=LABELS, ports=[ServicePort(name="web", port=80, target_port="http")])
    await cluster.client.create(Service(metadata=ObjectMeta(name="web", namespace="default"), spec=spec))
    await cluster.client.create(rc(replicas=2))
    found = await running(cluster, 2)

    async def subset() -> Any:
        try:
            subsets = (await cluster.client.get(Endpoints, "web", "default")).subsets or []
        except StatusError:
            return None
        return subsets[0] if subsets and len(subsets[0].addresses or ()) == 2 else None

    full = await cluster.eventually(subset)
    assert [(p.name, p.port, p.protocol) for p in full.ports] == [("web", 8080, "TCP")]
    assert {a.ip for a in full.addresses} == {p.status.pod_ip for p in found if p.status}
    sick = [{"type": "Ready", "status": "False"}]
    name = found[0].metadata.name or ""
    await cluster.client.patch(
        Pod, name, "default", {"status": {"conditions": sick}}, type="strategic", subresource="status"
    )

    async def one_left() -> bool:
        subsets = (await cluster.client.get(Endpoints, "web", "default")).subsets
        return len(subsets[0].addresses) == 1 and subsets[0].not_ready_addresses[0].target_ref.name == name

    await cluster.eventually(one_left)
    await cluster.client.delete(Service, "web", "default")

    async def gone() -> bool:
        return not [
            e for e in (await cluster.client.list(Endpoints, "default")).items if e.metadata.name == "web"
        ]

    await cluster.eventually(gone)


async def test_a_namespace_that_cannot_end_says_what_holds_it(cluster: Any) -> None:
    await cluster.client.create(Namespace(metadata=ObjectMeta(name="shop")))
    held = ObjectMeta(name="held", namespace="shop", finalizers=["acme.com/hold"])
    await cluster.client.create(ConfigMap(metadata=held))
    await cluster.client.delete(Namespace, "shop")

    async def told() -> dict[str, str]:
        status = (await cluster.client.get(Namespace, "shop")).status
        return {c.type: c.message for c in status.conditions or () if c.status == "True"}

    assert await cluster.eventually(told) == {
        "NamespaceContentRemaining": "Some resources are remaining: configmaps has 1",
        "NamespaceFinalizersRemaining": (
            "Some content in the namespace has finalizers remaining: acme.com/hold in 1"
        ),
    }
    version = (await cluster.client.get(Namespace, "shop")).metadata.resource_version
    await asyncio.sleep(0.3)
    assert (await cluster.client.get(Namespace, "shop")).metadata.resource_version == version
    stored = await cluster.client.get(ConfigMap, "held", "shop")
    free = msgspec.structs.replace(stored.metadata, finalizers=None)
    await cluster.client.update(msgspec.structs.replace(stored, metadata=free))

    async def gone() -> bool:
        names = [n.metadata.name for n in (await cluster.client.list(Namespace)).items]
        return "shop" not in names

    await cluster.eventually(gone, 20)


async def test_a_deleted_namespace_takes_everything_with_it(cluster: Any, nodes: Any) -> None:
    await cluster.client.create(Namespace(metadata=ObjectMeta(name="shop")))
    controller = rc(replicas=2)
    await cluster.client.create(
        msgspec.structs.replace(controller, metadata=ObjectMeta(name="web", namespace="shop"))
    )

    async def two() -> bool:
        return len(await pods(cluster, "shop")) == 2

    await cluster.eventually(two)
    await cluster.client.delete(Namespace, "shop")

    async def gone() -> bool:
        names = [n.metadata.name for n in (await cluster.client.list(Namespace)).items]
        return "shop" not in names

    await cluster.eventually(gone, 20)
    assert not await pods(cluster, "shop")
    assert not (await cluster.client.list(ReplicationController, "shop")).items


async def test_a_namespace_lets_its_pods_go_before_anything_else(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "_PERIOD", 60.0)  # the pods' end is to be noticed, not looked for
    await cluster.client.create(Namespace(metadata=ObjectMeta(name="shop")))
    await cluster.client.create(ConfigMap(metadata=ObjectMeta(name="guard", namespace="shop")))
    meta = ObjectMeta(name="last", namespace="shop", labels=LABELS, finalizers=["acme.com/hold"])
    await cluster.client.create(Pod(metadata=meta, spec=pod_spec()))
    controller = msgspec.structs.replace(rc(replicas=1), metadata=ObjectMeta(name="web", namespace="shop"))
    await cluster.client.create(controller)
    await cluster.client.delete(Namespace, "shop")

    async def told() -> list[str]:
        status = (await cluster.client.get(Namespace, "shop")).status
        return [c.message for c in status.conditions or () if c.status == "True"]

    assert (await cluster.eventually(told))[0] == "Some resources are remaining: pods has 1"
    await asyncio.sleep(0.3)
    guard = await cluster.client.get(ConfigMap, "guard", "shop")
    assert guard.metadata.deletion_timestamp is None
    # That no pod can take the place of the last one is no failure of the controller.
    status = (await cluster.client.get(ReplicationController, "web", "shop")).status
    assert not (status and status.conditions)
    await cluster.client.patch(Pod, "last", "shop", {"metadata": {"finalizers": None}})

    async def gone() -> bool:
        return "shop" not in [n.metadata.name for n in (await cluster.client.list(Namespace)).items]

    await cluster.eventually(gone)


async def test_a_pending_pod_says_for_all_nodes_why_and_goes_when_it_can(cluster: Any) -> None:
    await cluster.client.create(Pod(metadata=ObjectMeta(name="p", namespace="default"), spec=pod_spec()))

    async def told() -> str:
        pod = await cluster.client.get(Pod, "p", "default")
        said = [c for c in (pod.status.conditions if pod.status else None) or () if c.type == "PodScheduled"]
        return f"{said[0].status} {said[0].reason}: {said[0].message}" if said else ""

    assert await cluster.eventually(told) == "False Unschedulable: no nodes available to schedule pods"
    await ready_node(cluster, "n")
    beat = asyncio.create_task(renew(cluster, "n"))

    async def bound() -> bool:
        return (await cluster.client.get(Pod, "p", "default")).spec.node_name == "n"

    try:
        await cluster.eventually(bound)
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
