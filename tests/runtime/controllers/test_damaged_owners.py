# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects whose owner or node is stored and cannot be read: nothing is collected for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from navarch import controllers
from navarch.api.builtin import scheme
from navarch.api.core.configmap import ConfigMap
from navarch.api.core.node.node import Node
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.spec import PodSpec
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta, OwnerReference
from navarch.auth.user import User
from navarch.client.local import LocalClient
from navarch.controllers import podgc
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore


def config_map(name: str, *owners: OwnerReference) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", owner_references=list(owners)))


def pod(name: str, node: str) -> Pod:
    spec = PodSpec(containers=[Container(name="c", image="i")], node_name=node)
    return Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


async def test_what_depends_on_a_damaged_object_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podgc, "_QUARANTINE", 0.2)
    monkeypatch.setattr(podgc, "_PERIOD", 0.1)
    path = tmp_path / "store.db"
    store = SqliteStore(str(path))
    await store.start()
    registry = Registry(store, scheme())
    await registry.start()
    client = LocalClient(registry, User(name="test", groups=("system:masters",)))
    await client.create(Node(metadata=ObjectMeta(name="n1")))
    owner = await client.create(config_map("owner"))
    reference = OwnerReference(api_version="v1", kind="ConfigMap", name="owner", uid=owner.metadata.uid)
    await client.create(config_map("owned", reference))
    await client.create(pod("on-n1", "n1"))
    await registry.close()
    await store.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for key in ("/registry/nodes/n1", "/registry/configmaps/default/owner"):
            assert conn.execute("UPDATE log SET value = x'7b' WHERE key = ?", (key,)).rowcount == 1

    store = SqliteStore(str(path))
    await store.start()
    registry = Registry(store, scheme())
    await registry.start()
    client = LocalClient(registry, User(name="test", groups=("system:masters",)))
    running = asyncio.create_task(
        controllers.run(client, controllers.Options(cluster_cidr="10.244.0.0/22")), name="controllers"
    )
    try:
        assert set(store.damaged) == {"/registry/nodes/n1", "/registry/configmaps/default/owner"}
        # The same with what never was: when that is collected, the others had their turn.
        nothing = OwnerReference(api_version="v1", kind="ConfigMap", name="none", uid="none")
        await client.create(config_map("orphan", nothing))
        await client.create(pod("on-none", "none"))
        await _gone(client, ConfigMap, "orphan")
        await _gone(client, Pod, "on-none")
        await asyncio.sleep(0.5)
        assert (await client.get(ConfigMap, "owned", "default")).metadata.name == "owned"
        assert (await client.get(Pod, "on-n1", "default")).metadata.deletion_timestamp is None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await registry.close()
        await store.close()


async def _gone(client: LocalClient, kind: type[object], name: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.get(kind, name, "default")
            except StatusError as error:
                assert error.code == 404
                return
            await asyncio.sleep(0.02)
