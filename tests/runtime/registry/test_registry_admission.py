# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugins of a master: service addresses and ports, tolerations, service accounts, a kubelet's reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from registry_support import ctx, refused, replace

from navarch.api.builtin import scheme
from navarch.api.certificates.certificatesigningrequest import (
    CERTIFICATE_SIGNING_REQUEST,
    CertificateSigningRequest,
    CertificateSigningRequestSpec,
)
from navarch.api.core.node.node import NODE, Node, NodeSpec, Taint
from navarch.api.core.pod.affinity import Toleration
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import POD, Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.core.service.service import SERVICE, Service, ServicePort, ServiceSpec
from navarch.api.machinery.meta import DeleteOptions, ObjectMeta
from navarch.api.machinery.scheme import Kind
from navarch.auth.user import User
from navarch.registry.admission import standard
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore

KUBELET = User("system:node:n1", ("system:nodes",))


@pytest.fixture
async def registry(store: SqliteStore) -> AsyncIterator[Registry]:
    plugins = standard.plugins(service_cidr="10.96.0.0/28", toleration_seconds=42, node_ports=(30000, 30003))
    made = Registry(store, scheme(), admission=plugins)
    await made.start()
    yield made
    await made.close()


def service(name: str = "s", *ports: ServicePort, **spec: Any) -> Service:
    given = list(ports) or [ServicePort(port=80, protocol="TCP")]
    spec.setdefault("type", "ClusterIP")
    return Service(metadata=ObjectMeta(name=name), spec=ServiceSpec(ports=given, **spec))


def pod(name: str = "p", **spec: Any) -> Pod:
    containers = [Container(name="c", image="busybox")]
    return Pod(metadata=ObjectMeta(name=name), spec=PodSpec(containers=containers, **spec))


async def put(registry: Registry, kind: Kind[Any], obj: Any, user: User | None = None) -> Any:
    context = ctx(user) if user is not None else ctx()
    return (await registry.create(kind, "default" if kind.namespaced else None, obj, context)).obj


async def test_every_service_gets_an_address_of_its_own(registry: Registry) -> None:
    made = await asyncio.gather(*(put(registry, SERVICE, service(f"s{i}")) for i in range(14)))
    addresses = {s.spec.cluster_ip for s in made}
    assert addresses == {f"10.96.0.{i}" for i in range(1, 15)}
    assert all(s.spec.cluster_ips == [s.spec.cluster_ip] for s in made)
    assert made[0].spec.ip_families == ["IPv4"]
    told = (
        "range is full: every address of 10.96.0.0/28 is taken: delete services, or give the master a wider"
    )
    with refused(500, "InternalError", f"failed to allocate a serviceIP: {told} serviceCIDR"):
        await put(registry, SERVICE, service("more"))
    await registry.delete(SERVICE, "default", "s3", None, ctx())
    assert (await put(registry, SERVICE, service("more"))).spec.cluster_ip == made[3].spec.cluster_ip


async def test_a_range_of_node_ports_that_is_full_says_so(registry: Registry) -> None:
    for number in range(4):
        await put(registry, SERVICE, service(f"s{number}", type="NodePort"))
    told = (
        "range is full: every port from 30000 to 30003 is taken:"
        " delete services that have node ports, or make them of type ClusterIP"
    )
    with refused(500, "InternalError", f"failed to allocate a nodePort: {told}"):
        await put(registry, SERVICE, service("more", type="NodePort"))
    balanced = {"type": "LoadBalancer", "external_traffic_policy": "Local"}
    with refused(500, "InternalError", f"failed to allocate requested HealthCheck NodePort: {told}"):
        without = {**balanced, "allocate_load_balancer_node_ports": False}
        await put(registry, SERVICE, service("more", **without))
    await registry.delete(SERVICE, "default", "s1", None, ctx())
    await put(registry, SERVICE, service("more", type="NodePort"))


async def test_asked_addresses_are_checked(registry: Registry) -> None:
    assert (await put(registry, SERVICE, service(cluster_ip="10.96.0.5"))).spec.cluster_ips == ["10.96.0.5"]
    for address, why in (
        ("10.96.0.5", "already allocated"),
        ("10.97.0.5", "not in the valid range"),
        ("10.96.0.0", "not in the valid range"),
        ("10.96.0.15", "not in the valid range"),
    ):
        with refused(422, "Invalid", why):
            await put(registry, SERVICE, service("t", cluster_ip=address))
    headless = await put(registry, SERVICE, service("h", cluster_ip="None"))
    assert (headless.spec.cluster_ip, headless.spec.cluster_ips) == ("None", ["None"])
    named = await put(registry, SERVICE, service("e", type="ExternalName", external_name="example.com"))
    assert named.spec.cluster_ip is None


async def test_a_dry_run_and_a_failed_create_keep_no_address(registry: Registry) -> None:
    await put(registry, SERVICE, service())
    for _ in range(30):
        await registry.create(SERVICE, "default", service("dry"), ctx(dry_run=True))
        with refused(409, "AlreadyExists"):
            await put(registry, SERVICE, service())
    for i in range(13):
        await put(registry, SERVICE, service(f"s{i}"))


async def test_an_update_keeps_what_was_given_out(registry: Registry) -> None:
    """A node port goes with its port's name, whatever else of the port changes."""
    web = ServicePort(port=80, protocol="TCP", name="web")
    made = await put(registry, SERVICE, service("s", web, type="NodePort"))
    port = made.spec.ports[0].node_port
    assert 30000 <= port <= 30003
    other = ServicePort(port=80, protocol="TCP", name="other")
    sent = service("s", other, replace(web, port=8080), type="NodePort")
    changed = (await registry.update(SERVICE, "default", "s", sent, ctx())).obj
    assert changed.spec.cluster_ip == made.spec.cluster_ip
    assert changed.spec.ports[1].node_port == port
    assert changed.spec.ports[0].node_port not in (None, port)
    inside = replace(changed, spec=replace(changed.spec, type="ClusterIP"))
    inside = (await registry.update(SERVICE, "default", "s", inside, ctx())).obj
    assert [p.node_port for p in inside.spec.ports] == [None, None]


async def test_node_ports_are_unique_and_given_back(registry: Registry) -> None:
    first = await put(
        registry,
        SERVICE,
        service("a", ServicePort(port=80, protocol="TCP", node_port=30001), type="NodePort"),
    )
    assert first.spec.ports[0].node_port == 30001
    for number, why in ((30001, "already allocated"), (29999, "not in the valid range")):
        with refused(422, "Invalid", why):
            asked = ServicePort(port=80, protocol="TCP", node_port=number)
            await put(registry, SERVICE, service("b", asked, type="NodePort"))
    others = [await put(registry, SERVICE, service(f"s{i}", type="NodePort")) for i in range(3)]
    assert {s.spec.ports[0].node_port for s in others} == {30000, 30002, 30003}
    await registry.delete(SERVICE, "default", "a", None, ctx())
    assert (await put(registry, SERVICE, service("c", type="NodePort"))).spec.ports[0].node_port == 30001


async def test_allocations_are_known_after_a_restart(registry: Registry, store: SqliteStore) -> None:
    await put(registry, SERVICE, service(cluster_ip="10.96.0.5"))
    again = Registry(store, scheme(), admission=standard.plugins(service_cidr="10.96.0.0/28"))
    await again.start()
    try:
        with refused(422, "Invalid", "already allocated"):
            await put(again, SERVICE, service("t", cluster_ip="10.96.0.5"))
    finally:
        await again.close()


async def test_pods_get_tolerations_and_a_service_account(registry: Registry) -> None:
    plain = (await put(registry, POD, pod())).spec
    assert plain.service_account_name == "default"
    assert [(t.key, t.effect, t.toleration_seconds) for t in plain.tolerations] == [
        ("node.kubernetes.io/not-ready", "NoExecute", 42),
        ("node.kubernetes.io/unreachable", "NoExecute", 42),
    ]
    own = Toleration(
        key="node.kubernetes.io/not-ready", operator="Exists", effect="NoExecute", toleration_seconds=1
    )
    some = (await put(registry, POD, pod("q", tolerations=[own], service_account_name="me"))).spec
    assert some.service_account_name == "me"
    assert [(t.key, t.toleration_seconds) for t in some.tolerations] == [
        ("node.kubernetes.io/not-ready", 1),
        ("node.kubernetes.io/unreachable", 42),
    ]
    everything = Toleration(operator="Exists")
    assert (await put(registry, POD, pod("r", tolerations=[everything]))).spec.tolerations == [everything]


async def test_a_kubelet_and_its_node(registry: Registry) -> None:
    taint = Taint(key="k", effect="NoSchedule")
    node = Node(metadata=ObjectMeta(name="n1", labels={"kubernetes.io/hostname": "n1"}), spec=NodeSpec())
    other = replace(node, metadata=ObjectMeta(name="n2"))
    made = await put(registry, NODE, node, KUBELET)
    with refused(403, "Forbidden", 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"'):
        await put(registry, NODE, other, KUBELET)
    with refused(403, "Forbidden", "not allowed to modify taints"):
        tainted = replace(made, spec=replace(made.spec, taints=[taint]))
        await registry.update(NODE, None, "n1", tainted, ctx(KUBELET))
    for label in (
        "node-restriction.kubernetes.io/x",
        "x.node-restriction.kubernetes.io/y",
        "node-role.kubernetes.io/x",
    ):
        with refused(403, "Forbidden", f"not allowed to modify labels: {label}"):
            await registry.patch(
                NODE, None, "n1", {"metadata": {"labels": {label: "1"}}}, "merge", ctx(KUBELET)
            )
        with refused(403, "Forbidden", f"not allowed to modify labels: {label}"):
            body = {"metadata": {"labels": {label: "1"}}}
            await registry.patch(NODE, None, "n1", body, "merge", ctx(KUBELET), subresource="status")
    for label in ("example.com/x", "x", "node.kubernetes.io/x", "topology.kubernetes.io/zone"):
        await registry.patch(NODE, None, "n1", {"metadata": {"labels": {label: "1"}}}, "merge", ctx(KUBELET))
    await registry.patch(NODE, None, "n1", {"spec": {"unschedulable": True}}, "merge", ctx())


async def test_a_kubelet_and_pods(registry: Registry) -> None:
    await put(registry, POD, pod("mine"))
    await put(registry, POD, pod("other"))
    await registry.assign("default", "mine", "n1", ctx())
    await registry.assign("default", "other", "n2", ctx())
    running = {"status": {"phase": "Running"}}
    done = await registry.patch(POD, "default", "mine", running, "merge", ctx(KUBELET), subresource="status")
    assert done.obj.status.phase == "Running"
    with refused(403, "Forbidden", "can only update pod status for pods with spec.nodeName set to itself"):
        await registry.patch(POD, "default", "other", running, "merge", ctx(KUBELET), subresource="status")
    with refused(403, "Forbidden", "can only delete pods with spec.nodeName set to itself"):
        await registry.delete(POD, "default", "other", None, ctx(KUBELET))
    with refused(403, "Forbidden"):
        await registry.patch(
            POD, "default", "mine", {"metadata": {"labels": {"a": "b"}}}, "merge", ctx(KUBELET)
        )
    with refused(403, "Forbidden", "can only create mirror pods"):
        await put(registry, POD, pod("new"), KUBELET)
    mirror = pod("mirror", node_name="n1")
    mirror = replace(
        mirror, metadata=ObjectMeta(name="mirror", annotations={"kubernetes.io/config.mirror": "x"})
    )
    made = await put(registry, POD, mirror, KUBELET)
    assert made.spec.service_account_name is None
    await registry.delete(POD, "default", "mine", DeleteOptions(grace_period_seconds=0), ctx(KUBELET))


def csr(*organizations: str, signer: str = "kubernetes.io/kube-apiserver-client-kubelet", **spec: Any) -> Any:
    names = [x509.NameAttribute(x509.NameOID.COMMON_NAME, "system:node:n1")]
    names += [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, o) for o in organizations]
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    pem = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)
    return CertificateSigningRequest(
        metadata=ObjectMeta(name="c"),
        spec=CertificateSigningRequestSpec(
            request=pem, signer_name=signer, usages=["digital signature", "client auth"], **spec
        ),
    )


async def test_who_asks_for_a_certificate_is_not_for_the_client_to_say(registry: Registry) -> None:
    joining = User("system:bootstrap:abc", ("system:bootstrappers",), uid="u1", extra={"k": ["v"]})
    sent = csr("system:nodes", username="admin", groups=["system:masters"], uid="0", extra={"x": ["y"]})
    spec = (await put(registry, CERTIFICATE_SIGNING_REQUEST, sent, joining)).spec
    assert (spec.username, spec.groups, spec.uid, spec.extra) == (
        "system:bootstrap:abc",
        ["system:bootstrappers"],
        "u1",
        {"k": ["v"]},
    )
    with refused(403, "Forbidden", "signer with system:masters group is not allowed"):
        client = "kubernetes.io/kube-apiserver-client"
        await put(registry, CERTIFICATE_SIGNING_REQUEST, csr("system:masters", signer=client))


async def test_approving_and_signing_are_two_acts(registry: Registry) -> None:
    kind = CERTIFICATE_SIGNING_REQUEST
    await put(registry, kind, csr("system:nodes"))
    both = {
        "status": {
            "conditions": [{"type": "Approved", "status": "True", "reason": "Test"}],
            "certificate": "Y2VydA==",
        }
    }

    async def write(subresource: str) -> Any:
        return (
            await registry.patch(kind, None, "c", both, "merge", ctx(), subresource=subresource)
        ).obj.status

    signed = await write("status")
    assert not signed.conditions, "who signs does not approve"
    await registry.delete(kind, None, "c", None, ctx())
    await put(registry, kind, csr("system:nodes"))
    approved = await write("approval")
    assert [c.type for c in approved.conditions] == ["Approved"]
    assert approved.certificate is None, "who approves does not sign"
    done = await write("status")
    assert [c.type for c in done.conditions] == ["Approved"]
    assert done.certificate


def test_a_range_without_addresses_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        standard.plugins(service_cidr="10.0.0.0/31")
