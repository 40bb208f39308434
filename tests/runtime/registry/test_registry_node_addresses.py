# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kubelet may not say its node's addresses are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from registry_support import ADMIN, refused

from navarch.api.builtin import scheme
from navarch.api.core.node.address import Reserved
from navarch.api.core.node.node import Node, NodeAddress, NodeCondition, NodeStatus
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.auth.user import User
from navarch.client.local import LocalClient
from navarch.registry.admission import standard
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore

RESERVED = Reserved(
    pods=["10.244.0.0/16"], services=["10.96.0.0/16"], master=["192.0.2.1", "m1"], own_node="m1"
)


@pytest.fixture
async def registry(store: SqliteStore) -> AsyncIterator[Registry]:
    made = Registry(store, scheme(), admission=standard.plugins(reserved=RESERVED))
    await made.start()
    yield made
    await made.close()


class Kubelet:
    def __init__(self, registry: Registry, name: str) -> None:
        self.name = name
        self.client = LocalClient(registry, User(f"system:node:{name}", ("system:nodes",)))

    def node(self, *addresses: str, ready: str = "True") -> Node:
        status = NodeStatus(
            addresses=[NodeAddress(type=f"T{i}", address=a) for i, a in enumerate(addresses)],
            conditions=[NodeCondition(type="Ready", status=ready)],
        )
        return Node(metadata=ObjectMeta(name=self.name), status=status)

    async def say(self, *addresses: str) -> None:
        """By any of the ways that lead to the status."""
        stored = await self.client.get(Node, self.name)
        await self.client.update(replace(stored, status=self.node(*addresses).status), subresource="status")


async def kubelet(registry: Registry, name: str, *addresses: str) -> Kubelet:
    made = Kubelet(registry, name)
    await made.client.create(made.node(*addresses))
    return made


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.96.0.1",
        "kubernetes.default.svc",
        "localhost",
        "*.example.com",
        "10.244.1.1",
        "192.0.2.1",
    ],
)
async def test_addresses_that_no_node_has_are_refused_at_every_write(
    registry: Registry, address: str
) -> None:
    with refused(403, "Forbidden", f'node "n1" cannot have that address: {address} is'):
        await kubelet(registry, "n1", "192.0.2.5", address)
    n1 = await kubelet(registry, "n1", "192.0.2.5", "n1")
    for write in (
        n1.say("192.0.2.5", address),
        n1.client.patch(
            Node, "n1", None, {"status": {"addresses": [{"type": "InternalIP", "address": address}]}},
            type="strategic", subresource="status",
        ),
        n1.client.patch(
            Node, "n1", None, [{"op": "replace", "path": "/status/addresses/0/address", "value": address}],
            type="json", subresource="status",
        ),
    ):  # fmt: skip
        with refused(403, "Forbidden", "cannot have that address"):
            await write
    assert [a.address for a in (await n1.client.get(Node, "n1")).status.addresses] == ["192.0.2.5", "n1"]


async def test_administrators_write_what_they_want(registry: Registry) -> None:
    admin = LocalClient(registry, ADMIN)
    await admin.create(Kubelet(registry, "n1").node("127.0.0.1"))
    n1 = Kubelet(registry, "n1")
    await n1.say("127.0.0.1", "192.0.2.5")  # what is there already is no news
    with refused(403, "Forbidden", "127.0.0.2"):
        await n1.say("127.0.0.1", "127.0.0.2")


async def test_the_node_on_the_masters_machine_has_the_masters_address(registry: Registry) -> None:
    m1 = await kubelet(registry, "m1", "192.0.2.1", "m1")
    await m1.say("127.0.0.1", "m1")


async def test_what_another_node_has_is_refused_until_that_one_lets_go(registry: Registry) -> None:
    n1 = await kubelet(registry, "n1", "192.0.2.5", "host-a")
    with refused(403, "Forbidden", "192.0.2.5 belongs to node n1"):
        await kubelet(registry, "n2", "192.0.2.5")
    n2 = await kubelet(registry, "n2", "192.0.2.6", "n2")
    for value in ("192.0.2.5", "::ffff:192.0.2.5", "HOST-A", "n1"):
        with refused(403, "Forbidden", "belongs to node n1"):
            await n2.say(value)
    await n1.say("192.0.2.7")
    await n2.say("192.0.2.5")
    with refused(403, "Forbidden", "192.0.2.5 belongs to node n2"):
        await n1.say("192.0.2.5")
    await LocalClient(registry, ADMIN).delete(Node, "n2")
    await n1.say("192.0.2.5")


async def test_a_node_that_is_silent_does_not_keep_an_address_from_its_next_machine(
    registry: Registry,
) -> None:
    n1 = await kubelet(registry, "n1", "192.0.2.5")
    admin = LocalClient(registry, ADMIN)
    stored = await admin.get(Node, "n1")
    await admin.update(
        replace(stored, status=n1.node("192.0.2.5", ready="Unknown").status), subresource="status"
    )
    await kubelet(registry, "n2", "192.0.2.5")


async def test_of_two_who_come_at_once_one_gets_it(registry: Registry) -> None:
    asked = [kubelet(registry, f"n{i}", "192.0.2.9") for i in range(8)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Kubelet) for answer in answers) == 1
    for answer in answers:
        assert isinstance(answer, Kubelet) or (isinstance(answer, StatusError) and answer.code == 403)


async def test_who_has_what_is_known_after_a_restart(registry: Registry, store: SqliteStore) -> None:
    await kubelet(registry, "n1", "192.0.2.5")
    again = Registry(store, scheme(), admission=standard.plugins(reserved=RESERVED))
    await again.start()
    try:
        with refused(403, "Forbidden", "192.0.2.5 belongs to node n1"):
            await kubelet(again, "n2", "192.0.2.5")
    finally:
        await again.close()
