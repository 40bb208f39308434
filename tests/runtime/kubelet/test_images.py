# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling images from a registry of the test's own on the loopback address."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from kubelet_support import Cluster, Pods, ready, sleeper, state
from ports_support import free_port

from navarch.api.core.secret import Secret
from navarch.api.machinery.meta import ObjectMeta

pytestmark = [pytest.mark.docker, pytest.mark.root]

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """One image, `x:1`, by the Registry HTTP API V2; with a password when told so."""

    def __init__(self) -> None:
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            tar.add("/bin/busybox", "bin/busybox")
            for name in ("sh", "sleep", "true"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        packed = gzip.compress(layer.getvalue(), 1, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                # An image of this registry alone: removing it takes away nobody else's.
                "config": {
                    "Cmd": ["sleep", "1000"],
                    "User": "1000",
                    "Labels": {"test": secrets.token_hex(8)},
                },
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
            }
        ).encode()
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": len(config),
                    "digest": _digest(config),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(packed),
                        "digest": _digest(packed),
                    }
                ],
            }
        ).encode()
        self.blobs = {_digest(config): config, _digest(packed): packed}
        self.password = ""
        self.asked = 0
        self.port = free_port()
        self.image = f"127.0.0.1:{self.port}/x:1"

    async def serve(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v2/{rest:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner

    async def _answer(self, request: web.Request) -> web.Response:
        expected = "Basic " + base64.b64encode(f"me:{self.password}".encode()).decode()
        if self.password and request.headers.get("Authorization") != expected:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        rest = request.match_info["rest"]
        if rest == "":
            return web.json_response({})
        if rest == "x/manifests/1" or rest == f"x/manifests/{_digest(self.manifest)}":
            self.asked += 1
            headers = {"Docker-Content-Digest": _digest(self.manifest), "Content-Type": _MANIFEST}
            return web.Response(body=self.manifest, headers=headers)
        blob = self.blobs.get(rest.removeprefix("x/blobs/"))
        return web.Response(body=blob) if blob is not None else web.Response(status=404)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest_asyncio.fixture
async def registry(cluster: Cluster) -> AsyncIterator[Registry]:
    made = Registry()
    runner = await made.serve()
    yield made
    await runner.cleanup()
    for image in cluster.engine.images(name=made.image.rpartition(":")[0]):
        cluster.engine.remove_image(image["Id"], force=True)


def waits(reason: str) -> Any:
    def met(pod: Any) -> bool:
        status = state(pod, "a")
        return bool(status and status.state.waiting and status.state.waiting.reason == reason)

    return met


async def test_what_is_missing_is_pulled_once_and_reported_by_digest(registry: Registry, pods: Pods) -> None:
    asked = 0
    for name in ("first", "second"):
        await pods.create(name, {"name": "a", "image": registry.image, "command": sleeper()})
        pod = await pods.running(name)
        assert state(pod, "a").image_id.endswith(_digest(registry.manifest))
        asked = asked or registry.asked
    assert registry.asked == asked
    await pods.create("third", {"name": "a", "image": registry.image, "imagePullPolicy": "Always"})
    await pods.running("third")
    assert registry.asked > asked


async def test_a_private_registry_wants_the_pods_secret(registry: Registry, pods: Pods) -> None:
    registry.password = "sesame"
    auths = {"auths": {f"127.0.0.1:{registry.port}": {"username": "me", "password": "sesame"}}}
    secret = Secret(
        metadata=ObjectMeta(name="login", namespace=pods.namespace),
        type="kubernetes.io/dockerconfigjson",
        data={".dockerconfigjson": msgspec.json.encode(auths)},
    )
    await pods.client.create(secret)
    await pods.create("denied", {"name": "a", "image": registry.image, "command": sleeper()})
    await pods.until("denied", waits("ErrImagePull"))
    await pods.create(
        "admitted",
        {"name": "a", "image": registry.image, "command": sleeper()},
        imagePullSecrets=[{"name": "login"}],
    )
    await pods.running("admitted")


async def test_a_registry_that_is_away_is_asked_again_later(pods: Pods) -> None:
    await pods.create("away", {"name": "a", "image": f"127.0.0.1:{free_port()}/x:1"})
    pod = await pods.until("away", waits("ErrImagePull"))
    assert "connection refused" in state(pod, "a").state.waiting.message
    pod = await pods.until("away", waits("ImagePullBackOff"))
    assert not ready(pod)


async def test_a_user_who_must_not_be_root(registry: Registry, pods: Pods) -> None:
    security = {"runAsNonRoot": True}
    await pods.create("root", {"name": "a", "command": sleeper(), "securityContext": security})
    pod = await pods.until("root", waits("CreateContainerConfigError"))
    assert "image will run as root" in state(pod, "a").state.waiting.message
    await pods.create("user", {"name": "a", "image": registry.image, "securityContext": security})
    await pods.running("user")
