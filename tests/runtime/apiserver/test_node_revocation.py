# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that was thrown out: at once, for all it has, until it joins again. With a real kubelet's join and
renewal.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from apiserver_support import Http, Standalone

from navarch.api.builtin import scheme
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.api.navarch.noderevocation import NODE_REVOCATION, NodeRevocation
from navarch.auth.user import User
from navarch.cli.token import new_token, token_data
from navarch.client import kubeconfig
from navarch.client.http import HttpClient
from navarch.client.local import LocalClient
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.node import tls_bootstrap
from navarch.registry.registry import Registry
from navarch.registry.revocations import NodeRevocations
from navarch.store.sqlite import SqliteStore

REVOCATIONS = "/apis/authentication.navarch.io/v1alpha1/noderevocations"
MERGE = {"Content-Type": "application/merge-patch+json"}


async def eventually(check: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(400):
        if await check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("never became true")


class Host:
    """Where a kubelet would run: its name, its kubeconfigs, and what it does with them."""

    def __init__(self, server: Standalone, http: Http, folder: Path) -> None:
        self.name = f"node-{secrets.token_hex(3)}"
        self._server, self._http, self._folder = server, http, folder

    async def token(self) -> str:
        """A new join token, and a kubeconfig with it."""
        id, secret = new_token()
        data = token_data(id, secret, seconds=3600, description="")
        body = {
            "metadata": {"name": f"bootstrap-token-{id}"},
            "type": "bootstrap.kubernetes.io/token",
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        }
        code, made = await self._http("POST", "/api/v1/namespaces/kube-system/secrets", json=body)
        assert code == 201, made
        text = self._server.kubeconfig.read_text().replace(self._server.token, f"{id}.{secret}")
        (self._folder / "bootstrap.conf").write_text(text)
        return id

    @property
    def config(self) -> KubeletConfig:
        return KubeletConfig(
            node_name=self.name,
            kubeconfig=str(self._folder / "kubelet.conf"),
            bootstrap_kubeconfig=str(self._folder / "bootstrap.conf"),
            data_dir=str(self._folder),
        )

    def client(self) -> HttpClient:
        return HttpClient.from_kubeconfig(self.config.kubeconfig)

    async def join(self) -> None:
        """As a kubelet that has nothing but its token."""
        Path(self.config.kubeconfig).unlink(missing_ok=True)
        await tls_bootstrap.ensure_client(self.config)

    async def renew(self) -> None:
        """As a kubelet whose certificate ends soon."""
        async with self.client() as client:
            await tls_bootstrap.renew_client(self.config, client, kubeconfig.load(self.config.kubeconfig))


@pytest.fixture
def host(server: Standalone, http: Http, tmp_path: Path) -> Host:
    return Host(server, http, tmp_path)


async def throw_out(http: Http, name: str) -> dict[str, Any]:
    code, made = await http("POST", REVOCATIONS, json={"metadata": {"name": name}})
    assert code == 201, made
    assert isinstance(made, dict)
    return made


async def test_a_node_is_thrown_out_at_once_and_comes_back_by_joining(http: Http, host: Host) -> None:
    await host.token()
    await host.join()
    await host.renew()
    old = host.client()
    mine = f"spec.nodeName={host.name}"
    assert (await old.list(Pod, fields=mine)).items == []
    watch = await old.watch(Pod, since="0", fields=mine)

    async def until_it_ends() -> None:
        async for _ in watch:
            pass

    watching = asyncio.create_task(until_it_ends())
    await asyncio.sleep(0)
    await throw_out(http, host.name)
    # A watch lasts for half an hour at least, unless something ends it.
    await asyncio.wait_for(asyncio.gather(watching, return_exceptions=True), 10)
    with pytest.raises(StatusError) as refused:
        await old.list(Pod, fields=mine)
    assert refused.value.code == 401
    with pytest.raises(StatusError) as refused:
        await host.renew()
    assert refused.value.code == 401
    await old.close()

    # The token of the first join is older than the revocation.
    bootstrap = kubeconfig.load(host.config.bootstrap_kubeconfig)
    async with HttpClient(bootstrap) as client:
        with pytest.raises(tls_bootstrap.BootstrapError, match=f"Denied: node {host.name} was thrown out"):
            await tls_bootstrap.renew_client(host.config, client, bootstrap)

    await host.token()
    await host.join()
    async with host.client() as client:
        assert (await client.list(Pod, fields=mine)).items == []
    await host.renew()
    async with host.client() as client:
        assert (await client.list(Pod, fields=mine)).items == []


async def test_a_node_is_thrown_out_again(http: Http, host: Host) -> None:
    await host.token()
    await host.join()
    first = await throw_out(http, host.name)
    await host.token()
    await host.join()
    path = f"{REVOCATIONS}/{host.name}"

    async def later() -> bool:
        """An empty time is the present; that of the same second changes nothing."""
        code, found = await http("PATCH", path, json={"spec": {"issuedBefore": None}}, headers=MERGE)
        assert code == 200, found
        return bool(found["spec"]["issuedBefore"] > first["spec"]["issuedBefore"])

    await eventually(later)
    async with host.client() as client:
        with pytest.raises(StatusError) as refused:
            await client.list(Pod, fields=f"spec.nodeName={host.name}")
    assert refused.value.code == 401
    for wrong, code in (("2020-01-01T00:00:00Z", 422), ("2100-01-01T00:00:00Z", 422), ("yesterday", 400)):
        body = {"spec": {"issuedBefore": wrong}}
        assert (await http("PATCH", path, json=body, headers=MERGE))[0] == code
    # Deleted, the old certificate is good again: that is an administrator's to decide.
    assert (await http("DELETE", path))[0] == 200
    async with host.client() as client:
        await client.list(Pod, fields=f"spec.nodeName={host.name}")


async def test_the_tokens_of_its_pods_end_with_a_node(
    server: Standalone, http: Http, host: Host, namespace: str
) -> None:
    space = f"/api/v1/namespaces/{namespace}"
    await http("POST", "/api/v1/nodes", json={"metadata": {"name": host.name}})
    made: dict[str, str] = {}
    other = f"{host.name}-other"
    await http("POST", "/api/v1/nodes", json={"metadata": {"name": other}})
    try:
        for node in (host.name, other):
            spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}
            _, pod = await http("POST", f"{space}/pods", json={"metadata": {"name": node}, "spec": spec})
            ref = {"kind": "Pod", "apiVersion": "v1", "name": node, "uid": pod["metadata"]["uid"]}

            async def account() -> bool:
                return (await http("GET", f"{space}/serviceaccounts/default"))[0] == 200

            await eventually(account)
            body = {"spec": {"boundObjectRef": ref}}
            code, answer = await http("POST", f"{space}/serviceaccounts/default/token", json=body)
            assert code == 201, answer
            made[node] = answer["status"]["token"]

        connector = aiohttp.TCPConnector(ssl=server.tls())
        async with aiohttp.ClientSession(connector=connector) as session:

            def asking(node: str, query: str = "") -> Any:
                headers = {"Authorization": f"Bearer {made[node]}"}
                return session.get(f"{server.url}{space}/pods{query}", headers=headers)

            watches = {node: await asking(node, "?watch=true") for node in made}
            assert {node: watch.status for node, watch in watches.items()} == dict.fromkeys(made, 200)
            await throw_out(http, host.name)
            with pytest.raises(aiohttp.ClientError):
                await asyncio.wait_for(watches[host.name].read(), 10)
            async with asking(host.name) as answer:
                assert answer.status == 401
            async with asking(other) as answer:
                assert answer.status == 200
            assert not watches[other].content.at_eof()
            watches[other].close()
    finally:
        for node in (host.name, other):
            await http("DELETE", f"{space}/pods/{node}?gracePeriodSeconds=0")
            await http("DELETE", f"/api/v1/nodes/{node}")


async def test_a_revocation_that_cannot_be_read_lets_no_node_in(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for damaged in (False, True):
        store = SqliteStore(str(path))
        await store.start()
        registry = Registry(store, scheme())
        await registry.start()
        try:
            if damaged:
                with pytest.raises(StatusError) as refused:
                    NodeRevocations(registry).before("n1")
                assert refused.value.code == 500
                assert NodeRevocations(registry).before("n2") == 0.0
            else:
                client = LocalClient(registry, User("admin", ("system:masters",)))
                await client.create(NodeRevocation(metadata=ObjectMeta(name="n1")))
                assert NodeRevocations(registry).before("n1") > 0.0
        finally:
            await registry.close()
            await store.close()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
            key = NODE_REVOCATION.key(None, "n1")
            assert conn.execute("UPDATE log SET value = x'7b' WHERE key = ?", (key,)).rowcount == 1
