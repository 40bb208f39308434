# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is collected when an owner goes, and in which way; what is not."""

from __future__ import annotations

import asyncio
from typing import Any

from navarch import pki
from navarch.api.certificates.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestSpec,
)
from navarch.api.coordination.lease import Lease
from navarch.api.core.configmap import ConfigMap
from navarch.api.core.event import Event
from navarch.api.core.namespace import Namespace
from navarch.api.core.node.node import Node
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, OwnerReference


def owner(obj: Any, kind: str = "ConfigMap", *, block: bool = True, uid: str = "") -> OwnerReference:
    return OwnerReference(
        api_version="v1",
        kind=kind,
        name=obj.metadata.name,
        uid=uid or obj.metadata.uid,
        block_owner_deletion=block,
    )


async def configmap(cluster: Any, name: str, *owners: OwnerReference, **meta: Any) -> ConfigMap:
    metadata = ObjectMeta(name=name, namespace="default", owner_references=list(owners) or None, **meta)
    made: ConfigMap = await cluster.client.create(ConfigMap(metadata=metadata))
    return made


async def find(cluster: Any, name: str) -> ConfigMap | None:
    try:
        found: ConfigMap = await cluster.client.get(ConfigMap, name, "default")
    except StatusError as error:
        assert error.code == 404
        return None
    return found


async def gone(cluster: Any, *names: str) -> None:
    async def check() -> bool:
        return not [name for name in names if await find(cluster, name) is not None]

    await cluster.eventually(check)


async def owners(cluster: Any, name: str) -> list[str]:
    found = await find(cluster, name)
    assert found is not None, f"{name} was collected"
    return [o.name for o in found.metadata.owner_references or ()]


async def test_what_has_no_namespace_is_not_collected_with_an_owner_that_has_one(cluster: Any) -> None:
    made = await configmap(cluster, "owner")
    meta = ObjectMeta(name="n", owner_references=[owner(made)])
    await cluster.client.create(Node(metadata=meta))
    ghost = OwnerReference(api_version="v1", kind="ConfigMap", name="ghost", uid="no-such-uid")
    meta = ObjectMeta(name="shop", owner_references=[ghost])
    await cluster.client.create(Namespace(metadata=meta))
    await cluster.client.delete(ConfigMap, "owner", "default")

    async def told() -> bool:
        events = (await cluster.client.list(Event, "default")).items
        about = {e.involved_object.name for e in events if e.reason == "OwnerRefInvalidNamespace"}
        return about == {"n", "shop"}

    await cluster.eventually(told)
    await asyncio.sleep(0.3)
    for kind, name in ((Node, "n"), (Namespace, "shop")):
        assert (await cluster.client.get(kind, name)).metadata.deletion_timestamp is None


async def test_an_owner_does_not_wait_for_what_another_one_keeps(cluster: Any) -> None:
    going, staying = await configmap(cluster, "going"), await configmap(cluster, "staying")
    await configmap(cluster, "shared", owner(going), owner(staying))
    await cluster.client.delete(ConfigMap, "going", "default", propagation="Foreground")
    await gone(cluster, "going")
    assert await owners(cluster, "shared") == ["staying"]


async def test_owners_in_a_circle_can_be_deleted_in_the_foreground(cluster: Any) -> None:
    first = await configmap(cluster, "first")
    second = await configmap(cluster, "second", owner(first))
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "second", "uid": second.metadata.uid}]
    references[0]["blockOwnerDeletion"] = True
    await cluster.client.patch(ConfigMap, "first", "default", {"metadata": {"ownerReferences": references}})
    await cluster.client.delete(ConfigMap, "first", "default", propagation="Foreground")
    await gone(cluster, "first", "second")


async def test_a_foreground_deletion_goes_from_the_leaves_up(cluster: Any) -> None:
    top = await configmap(cluster, "top")
    middle = await configmap(cluster, "middle", owner(top))
    await configmap(cluster, "leaf", owner(middle), finalizers=["acme.com/hold"])
    await cluster.client.delete(ConfigMap, "top", "default", propagation="Foreground")

    async def leaf_goes() -> bool:
        leaf = await find(cluster, "leaf")
        return leaf is not None and bool(leaf.metadata.deletion_timestamp)

    await cluster.eventually(leaf_goes)
    await asyncio.sleep(0.2)
    assert await find(cluster, "top") is not None
    assert await find(cluster, "middle") is not None
    await cluster.client.patch(ConfigMap, "leaf", "default", {"metadata": {"finalizers": None}})
    await gone(cluster, "top", "middle", "leaf")


async def test_a_reference_to_an_owner_that_is_gone_goes_when_another_one_lives(cluster: Any) -> None:
    first, second = await configmap(cluster, "first"), await configmap(cluster, "second")
    await configmap(cluster, "shared", owner(first), owner(second))
    await cluster.client.delete(ConfigMap, "first", "default")

    async def one_left() -> bool:
        return await owners(cluster, "shared") == ["second"]

    await cluster.eventually(one_left)
    await cluster.client.delete(ConfigMap, "second", "default")
    await gone(cluster, "shared")


async def test_a_lease_and_a_certificate_request_go_with_their_owner(cluster: Any) -> None:
    node = await cluster.client.create(Node(metadata=ObjectMeta(name="n")))
    of_node = [owner(node, "Node")]
    meta = ObjectMeta(name="n", namespace="default", owner_references=of_node)
    await cluster.client.create(Lease(metadata=meta))
    spec = CertificateSigningRequestSpec(
        request=pki.make_request(pki.new_key(), "n"), signer_name="acme.com/signer", usages=["client auth"]
    )
    meta = ObjectMeta(name="csr", owner_references=of_node)
    await cluster.client.create(CertificateSigningRequest(metadata=meta, spec=spec))
    await asyncio.sleep(0.2)
    assert (await cluster.client.list(Lease, "default")).items
    await cluster.client.delete(Node, "n")

    async def both_gone() -> bool:
        leases = (await cluster.client.list(Lease, "default")).items
        return not leases and not (await cluster.client.list(CertificateSigningRequest)).items

    await cluster.eventually(both_gone)
