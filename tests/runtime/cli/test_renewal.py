# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet's two certificates, renewed by itself through a real master before they end, while it runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from cli_support import make_master

from navarch import pki
from navarch.api.node import Node
from navarch.cli import main
from navarch.client import kubeconfig
from navarch.client.http import HttpClient
from navarch.kubelet import config, join


async def test_certificates_are_renewed_when_a_quarter_of_their_time_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    master = make_master(tmp_path)
    capsys.readouterr()
    with master.running():
        made = await asyncio.to_thread(
            main, ["token", "create", "--kubeconfig", str(tmp_path / "admin.conf")]
        )
        assert made == 0
        token = capsys.readouterr().out.strip()
        ca = pki.Pair((tmp_path / "pki/ca.crt").read_bytes(), (tmp_path / "pki/ca.key").read_bytes())
        server = f"https://127.0.0.1:{master.port}"
        join.write(tmp_path / "boot.conf", pki.kubeconfig(server, ca.certificate, user="join", token=token))
        kubelet = config.parse(
            {
                "nodeName": "n1",
                "dataDir": str(tmp_path / "kubelet"),
                "kubeconfig": str(tmp_path / "node.conf"),
                "bootstrapKubeconfig": str(tmp_path / "boot.conf"),
                "clientCAFile": str(tmp_path / "pki/ca.crt"),
            }
        )
        await join.ensure_client(kubelet)
        (tmp_path / "boot.conf").unlink()
        names = ["127.0.0.1", "n1"]
        # A serving certificate is signed for the addresses that the node has.
        node = await asyncio.to_thread(master.call, "POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
        del node["metadata"]["resourceVersion"]  # the master writes to it as well
        node["status"] = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
        await asyncio.to_thread(master.call, "PUT", "/api/v1/nodes/n1/status", node)
        async with HttpClient.from_kubeconfig(kubelet.kubeconfig) as client:
            await join.ensure_serving(kubelet, client, names)
            serving, key = join.serving_files(kubelet)
            assert not _is_due(kubelet), "fresh ones are left alone"
            # Ones of the same authority whose end is near take their place.
            short = timedelta(seconds=60)
            one = pki.issue(ca, "system:node:n1", organizations=["system:nodes"], lifetime=short)
            two = pki.issue(ca, "system:node:n1", names=names, usages=["server auth"], lifetime=short)
            join.write(
                Path(kubelet.kubeconfig),
                pki.kubeconfig(server, ca.certificate, user="system:node:n1", client=one),
            )
            join.write(serving, two.certificate)
            join.write(key, two.key)
            assert _is_due(kubelet)
            client.reconnect(kubeconfig.load(kubelet.kubeconfig))
            loaded: list[int] = []

            def renewed() -> None:
                loaded.append(1)
                client.reconnect(kubeconfig.load(kubelet.kubeconfig))

            moved = asyncio.Event()
            task = asyncio.create_task(join.keep_fresh(kubelet, client, lambda: names, renewed, moved))
            try:
                async with asyncio.timeout(90):
                    while len(loaded) < 2:
                        await asyncio.sleep(0.05)
                moved.set()  # one look more
                await asyncio.sleep(0.3)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert len(loaded) == 2, "each is renewed once"
            assert not _is_due(kubelet)
            assert pki.belongs(serving.read_bytes(), key.read_bytes())
            assert pki.inspect(serving.read_bytes()).names == set(names)
            await client.list(Node)  # with what is new


def _is_due(kubelet: config.KubeletConfig) -> bool:
    certificates = [
        kubeconfig.load(kubelet.kubeconfig).certificate,
        join.serving_files(kubelet)[0].read_bytes(),
    ]
    return any(join.seconds_to_renewal(certificate) == 0 for certificate in certificates)


def test_renewal_follows_the_certificates_own_lifetime() -> None:
    ca = pki.make_ca()
    for days in (1, 30, 365):
        made = pki.issue(ca, "x", lifetime=timedelta(days=days)).certificate
        assert join.seconds_to_renewal(made) == pytest.approx(days * 86400 * 0.75, rel=0.01)
    assert join.seconds_to_renewal(b"nothing") == 0
