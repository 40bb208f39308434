# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod's processes may read and write, of a kubelet whose umask lets nobody but root do anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kubelet_support import Pods, ready, sleeper, state, until_lines

from navarch.api.core.configmap import ConfigMap
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.volume import Volume
from navarch.api.core.secret import Secret
from navarch.api.machinery.meta import ObjectMeta
from navarch.kubelet.pods import subpath
from navarch.kubelet.volumes import registry
from navarch.kubelet.volumes.base import Context, File, write_files


@pytest.fixture
def narrow() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_files_of_a_volume_keep_their_modes_and_its_folders_are_open(narrow: None, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    shown = {"a": File(b"1"), "d/e/b": File(b"2", 0o400)}
    assert write_files(folder, shown, None)
    modes = {name: mode(folder / name) for name in ("", "..data", "a", "d", "d/e", "d/e/b")}
    assert modes == {"": 0o755, "..data": 0o755, "a": 0o644, "d": 0o755, "d/e": 0o755, "d/e/b": 0o400}
    # One that an older kubelet left closed.
    for path in (folder, folder / "d"):
        path.chmod(0o700)
    assert write_files(folder, shown, None)
    assert (mode(folder), mode(folder / "d")) == (0o755, 0o755)


@pytest.mark.parametrize(
    ("kind", "expected"), [("DirectoryOrCreate", 0o755), ("", 0o755), ("FileOrCreate", 0o644)]
)
async def test_host_paths_that_are_made_can_be_read(
    narrow: None, tmp_path: Path, kind: str, expected: int
) -> None:
    path = tmp_path / "x" if kind == "FileOrCreate" else tmp_path / "above" / "x"
    volume = msgspec.convert({"name": "v", "hostPath": {"path": str(path), "type": kind}}, Volume)
    nobody: Any = None  # whom it might ask, and does not
    context = Context(Pod(), tmp_path, nobody, nobody)
    await registry.find(volume).set_up(volume, context)
    assert mode(path) == expected
    assert mode(path.parent) in (0o755, mode(tmp_path))
    path.chmod(0o600)
    await registry.find(volume).set_up(volume, context)
    assert mode(path) == 0o600


def test_a_sub_path_is_as_open_as_its_volume(narrow: None, tmp_path: Path) -> None:
    tmp_path.chmod(0o2777)
    os.close(subpath._open(tmp_path, "a/b"))
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o2777, 0o2777)


@pytest.mark.docker
@pytest.mark.root
async def test_who_is_not_root_reads_and_writes(pods: Pods, tmp_path: Path) -> None:
    await pods.client.create(
        ConfigMap(metadata=ObjectMeta(name="c", namespace=pods.namespace), data={"k": "v"})
    )
    down = [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
    volumes = [
        {"name": "c", "configMap": {"name": "c", "items": [{"key": "k", "path": "sub/k"}]}},
        {"name": "d", "downwardAPI": {"items": down}},
        {"name": "e", "emptyDir": {}},
        {"name": "h", "hostPath": {"path": str(tmp_path / "made"), "type": "DirectoryOrCreate"}},
    ]
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]
    mounts.append({"name": "e", "mountPath": "/deep", "subPath": "one/two"})
    script = (
        "id -u && cat /etc/resolv.conf /etc/hosts > /dev/null && cat /c/sub/k /d/name && echo && ls /h && "
        "touch /e/x /deep/y /e/one/z"
    )
    await pods.create(
        "plain",
        {"name": "a", "command": ["sh", "-c", f"({script}) 2>&1"], "volumeMounts": mounts},
        securityContext={"runAsUser": 1000, "runAsGroup": 1000},
        volumes=volumes,
        restartPolicy="Never",
    )
    pod = await pods.until("plain", lambda p: p.status and p.status.phase in ("Succeeded", "Failed"))
    assert await pods.logs("plain", "a") == "1000\nvplain\n"
    assert pod.status is not None
    assert pod.status.phase == "Succeeded"


@pytest.mark.docker
@pytest.mark.root
async def test_the_mode_a_pod_gives_an_empty_dir_outlives_its_containers(pods: Pods) -> None:
    # The first one ends, the second stays.
    stays = f"test -e /e/x && {{ {sleeper()[-1]}; }}"
    script = f"stat -c %a:%g /e /m; chmod 0700 /e /m; {stays}; touch /e/x; exit 1"
    volumes = [{"name": "e", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}}]
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]
    await pods.create(
        "data",
        {"name": "a", "command": ["sh", "-c", script], "volumeMounts": mounts},
        securityContext={"fsGroup": 1234},
        volumes=volumes,
    )
    await pods.until("data", lambda p: ready(p) and state(p, "a").restart_count == 1)
    assert await until_lines(pods, "data", "a", 2) == "700:1234\n700:1234\n"
    assert await pods.logs("data", "a", previous="true") == "2777:1234\n2777:1234\n"


@pytest.mark.docker
@pytest.mark.root
async def test_volumes_of_objects_cannot_be_written(pods: Pods) -> None:
    await pods.client.create(
        ConfigMap(metadata=ObjectMeta(name="c", namespace=pods.namespace), data={"k": "v"})
    )
    await pods.client.create(
        Secret(metadata=ObjectMeta(name="s", namespace=pods.namespace), data={"k": b"v"})
    )
    down = [{"path": "k", "fieldRef": {"fieldPath": "metadata.name"}}]
    volumes = [
        {"name": "c", "configMap": {"name": "c"}},
        {"name": "s", "secret": {"secretName": "s"}},
        {"name": "d", "downwardAPI": {"items": down}},
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "c"}}]}},
    ]
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]
    script = "for f in /c /s /d /p; do touch $f/x $f/k && echo $f can be written; done 2> /dev/null; true"
    await pods.create(
        "fixed",
        {"name": "a", "command": ["sh", "-c", script], "volumeMounts": mounts},
        volumes=volumes,
        restartPolicy="Never",
    )
    await pods.until("fixed", lambda p: p.status and p.status.phase == "Succeeded")
    assert await pods.logs("fixed", "a") == ""
