# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet's two certificates, renewed by itself through a real master before they end, while it runs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_support import Master, make_master

from navarch import pki
from navarch.api.core.node.node import Node
from navarch.cli import main
from navarch.client import kubeconfig
from navarch.client.http import HttpClient
from navarch.kubelet import config
from navarch.kubelet.node import tls_bootstrap


@dataclass
class Joined:
    """A node of a real master that has just joined."""

    folder: Path
    master: Master
    kubelet: config.KubeletConfig
    client: HttpClient

    names = ("192.0.2.9", "n1")

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.master.port}"

    def ca(self, name: str) -> pki.Pair:
        folder = self.folder / "pki"
        return pki.Pair((folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes())

    def serving(self, ca: str, **how: Any) -> pki.Pair:
        """A serving certificate of this authority takes the place of the node's own."""
        made = pki.issue(
            self.ca(ca),
            "system:node:n1",
            organizations=["system:nodes"],
            names=self.names,
            usages=["server auth"],
            **how,
        )
        certificate, key = tls_bootstrap.serving_files(self.kubelet)
        tls_bootstrap.write(certificate, made.certificate)
        tls_bootstrap.write(key, made.key)
        return made

    @contextlib.asynccontextmanager
    async def keeping_fresh(self) -> AsyncIterator[tuple[list[int], asyncio.Event]]:
        """(one entry for each certificate renewed since, an event that asks for a look)."""
        loaded: list[int] = []

        def renewed() -> None:
            loaded.append(1)
            self.client.reconnect(kubeconfig.load(self.kubelet.kubeconfig))

        moved = asyncio.Event()
        task = asyncio.create_task(
            tls_bootstrap.keep_fresh(self.kubelet, self.client, lambda: self.names, renewed, moved)
        )
        try:
            async with asyncio.timeout(90):
                yield loaded, moved
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Joined]:
    master = make_master(tmp_path)
    # One that pods could reach gives them the cluster's CA.
    settings = json.loads((tmp_path / "master.yaml").read_text())
    (tmp_path / "master.yaml").write_text(json.dumps({**settings, "advertiseAddress": "192.0.2.250"}))
    capsys.readouterr()
    with master.running():
        made = await asyncio.to_thread(
            main, ["token", "create", "--kubeconfig", str(tmp_path / "admin.conf")]
        )
        assert made == 0
        token = capsys.readouterr().out.strip()
        authority = (tmp_path / "pki/ca.crt").read_bytes()
        server = f"https://127.0.0.1:{master.port}"
        tls_bootstrap.write(
            tmp_path / "boot.conf", pki.kubeconfig(server, authority, user="join", token=token)
        )
        kubelet = config.parse(
            {
                "nodeName": "n1",
                "dataDir": str(tmp_path / "kubelet"),
                "kubeconfig": str(tmp_path / "node.conf"),
                "bootstrapKubeconfig": str(tmp_path / "boot.conf"),
                "clientCAFile": str(tmp_path / "pki/ca.crt"),
            }
        )
        await tls_bootstrap.ensure_client(kubelet)
        (tmp_path / "boot.conf").unlink()
        # A serving certificate is signed for the addresses that the node has.
        node = await asyncio.to_thread(master.call, "POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
        del node["metadata"]["resourceVersion"]  # the master writes to it as well
        node["status"] = {"addresses": [{"type": "InternalIP", "address": Joined.names[0]}]}
        await asyncio.to_thread(master.call, "PUT", "/api/v1/nodes/n1/status", node)
        async with HttpClient.from_kubeconfig(kubelet.kubeconfig) as client:
            yield Joined(tmp_path, master, kubelet, client)


async def test_certificates_are_renewed_when_a_third_of_their_time_is_left(joined: Joined) -> None:
    kubelet, client = joined.kubelet, joined.client
    await tls_bootstrap.ensure_serving(kubelet, client, joined.names)
    serving, key = tls_bootstrap.serving_files(kubelet)
    assert not _is_due(kubelet), "fresh ones are left alone"
    # Ones of the same authorities whose end is near take their place.
    short = timedelta(seconds=60)
    ca = joined.ca("ca")
    one = pki.issue(ca, "system:node:n1", organizations=["system:nodes"], lifetime=short)
    tls_bootstrap.write(
        Path(kubelet.kubeconfig),
        pki.kubeconfig(joined.server, ca.certificate, user="system:node:n1", client=one),
    )
    joined.serving("kubelet-ca", lifetime=short)
    assert _is_due(kubelet)
    client.reconnect(kubeconfig.load(kubelet.kubeconfig))
    async with joined.keeping_fresh() as (loaded, moved):
        while len(loaded) < 2:
            await asyncio.sleep(0.05)
        moved.set()  # one look more
        await asyncio.sleep(0.3)
    assert len(loaded) == 2, "each is renewed once"
    assert not _is_due(kubelet)
    assert pki.belongs(serving.read_bytes(), key.read_bytes())
    assert pki.inspect(serving.read_bytes()).names == set(joined.names)
    await client.list(Node)  # with what is new


async def test_a_serving_certificate_of_the_authority_that_everybody_trusts_is_replaced_at_once(
    joined: Joined,
) -> None:
    """As a kubelet finds it whose cluster comes from before kubelets' serving certificates had their own."""
    kubelet = joined.kubelet
    await tls_bootstrap.ensure_serving(kubelet, joined.client, joined.names)
    joined.serving("ca")
    serving, _ = tls_bootstrap.serving_files(kubelet)
    assert tls_bootstrap.signed_by_everybodys(kubelet)
    assert tls_bootstrap.serves(kubelet), "it serves with that meanwhile"
    async with joined.keeping_fresh() as (loaded, moved):
        while not loaded:
            await asyncio.sleep(0.05)
        moved.set()
        await asyncio.sleep(0.3)
    assert len(loaded) == 1
    assert not tls_bootstrap.signed_by_everybodys(kubelet)
    assert pki.issued_by(serving.read_bytes(), joined.ca("kubelet-ca").certificate)
    assert not pki.issued_by(serving.read_bytes(), joined.ca("ca").certificate)


async def test_a_key_without_its_certificate_is_no_reason_to_serve_nobody(joined: Joined) -> None:
    """A crash came between the two writes."""
    await tls_bootstrap.ensure_serving(joined.kubelet, joined.client, joined.names)
    certificate, key = tls_bootstrap.serving_files(joined.kubelet)
    tls_bootstrap.write(key, pki.new_key())
    assert not tls_bootstrap.serves(joined.kubelet)
    await tls_bootstrap.ensure_serving(joined.kubelet, joined.client, joined.names)
    assert tls_bootstrap.serves(joined.kubelet)
    assert pki.belongs(certificate.read_bytes(), key.read_bytes())


async def test_the_authority_of_kubelets_is_known_to_the_master_alone(joined: Joined) -> None:
    """Neither pods nor nodes nor administrators are told to trust it."""
    authority = joined.ca("kubelet-ca").certificate.decode()
    encoded = base64.b64encode(authority.encode()).decode()

    async def published() -> list[dict[str, Any]]:
        found = await asyncio.to_thread(joined.master.call, "GET", "/api/v1/configmaps")
        return [m for m in found["items"] if m["metadata"]["name"] == "kube-root-ca.crt"]

    async with asyncio.timeout(30):
        while not (maps := await published()):
            await asyncio.sleep(0.1)
    told = [
        json.dumps(maps),
        (joined.folder / "admin.conf").read_text(),
        (joined.folder / "node.conf").read_text(),
    ]
    for text in told:
        assert authority not in text
        assert authority.replace("\n", "\\n") not in text
        assert encoded not in text


def _is_due(kubelet: config.KubeletConfig) -> bool:
    certificates = [
        kubeconfig.load(kubelet.kubeconfig).certificate,
        tls_bootstrap.serving_files(kubelet)[0].read_bytes(),
    ]
    return any(tls_bootstrap.seconds_to_renewal(certificate) == 0 for certificate in certificates)


def test_renewal_follows_the_certificates_own_lifetime() -> None:
    ca = pki.make_ca()
    for days in (1, 30, 365):
        made = pki.issue(ca, "x", lifetime=timedelta(days=days)).certificate
        assert tls_bootstrap.seconds_to_renewal(made) == pytest.approx(days * 86400 * 2 / 3, rel=0.01)
    assert tls_bootstrap.seconds_to_renewal(b"nothing") == 0
