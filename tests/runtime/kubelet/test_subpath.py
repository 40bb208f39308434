# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a volume is what was looked at, whatever a container makes of the path afterwards."""

from __future__ import annotations

import ctypes
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from kubelet_support import IMAGE, Cluster, Pods, build_image, eventually, state

from navarch.kubelet.pods import subpath
from navarch.kubelet.pods.spec import SpecError

pytestmark = [pytest.mark.root]


@pytest.fixture(params=["openat2", "walk"])
def opener(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to look up, whatever this kernel has."""
    if request.param == "walk":
        monkeypatch.setattr(subpath, "_beneath", subpath._walk)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A pod's folder; what is mounted in it goes."""
    yield tmp_path / "pod"
    subpath.release(tmp_path / "pod")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    (made / "inner" / "deep").mkdir(parents=True)
    (made / "inner" / "file").write_text("inside")
    (made / "link").symlink_to("inner")
    (made / "absolute").symlink_to(tmp_path / "outside")
    (made / "up").symlink_to("../outside")
    (made / "inner" / "up").symlink_to("../../outside")
    (made / "nothing").symlink_to("missing")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("of the host")
    return made


def prepare(place: Path, volume: Path, sub: str, *, shared: bool = False) -> Path:
    return subpath.prepare(place / subpath.FOLDER / "c", {0: (volume, sub, shared)})[0]


def mounts(below: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4].startswith(str(below))]


def test_folders_files_and_links_inside_the_volume(opener: None, place: Path, volume: Path) -> None:
    for sub, expected in (
        ("inner", {"deep", "file", "up"}),
        ("./inner//", {"deep", "file", "up"}),
        ("link", {"deep", "file", "up"}),
        ("link/deep", set()),
        ("new/newer", set()),
        ("link/new", set()),
        (".", {"inner", "link", "absolute", "up", "nothing", "new"}),
    ):
        assert set(os.listdir(prepare(place, volume, sub))) == expected, sub
    assert prepare(place, volume, "link/file").read_text() == "inside"
    # One mount at a time, however often it is prepared.
    assert len(mounts(place)) == 1
    subpath.release(place)
    assert mounts(place) == []
    assert (volume / "inner" / "file").read_text() == "inside"


@pytest.mark.parametrize(
    "sub",
    ["absolute", "absolute/secret", "absolute/new", "up", "up/new", "inner/up/secret", "link/up",
     "../outside", "inner/../../outside", "/etc", "nothing", "nothing/new"],
)  # fmt: skip
def test_a_path_that_leads_out_is_refused(opener: None, place: Path, volume: Path, sub: str) -> None:
    with pytest.raises(SpecError):
        prepare(place, volume, sub)
    assert mounts(place) == []
    assert os.listdir(volume.parent / "outside") == ["secret"]


def test_what_is_made_has_the_volumes_mode(opener: None, place: Path, volume: Path) -> None:
    volume.chmod(0o2770)
    before = os.umask(0o077)
    try:
        prepare(place, volume, "a/b")
    finally:
        os.umask(before)
    for path in (volume / "a", volume / "a" / "b"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o2770


def test_a_mount_that_the_host_makes_later_survives_the_pod(place: Path, volume: Path) -> None:
    """What is unmounted of the pod must not be unmounted where it came from."""
    part = prepare(place, volume, "inner")
    assert os.system(f"mount -t tmpfs tmpfs {volume}/inner/deep") == 0
    try:
        (volume / "inner" / "deep" / "kept").touch()
        assert [part.name for part in (part / "deep").iterdir()] in ([], ["kept"])
        subpath.release(place)
        assert (volume / "inner" / "deep" / "kept").exists()
    finally:
        assert os.system(f"umount {volume}/inner/deep") == 0


def test_links_swapped_all_the_time_lead_nowhere(opener: None, place: Path, volume: Path) -> None:
    """A race on every step of the look-up: what is mounted is the volume's, or nothing is."""
    stop = threading.Event()

    libc = ctypes.CDLL(None)
    (volume / "x").mkdir()
    (volume / "y").symlink_to("../outside")
    names = [os.fsencode(volume / name) for name in ("x", "y")]

    def swap() -> None:
        while not stop.is_set():
            assert libc.renameat2(-100, names[0], -100, names[1], 2) == 0  # RENAME_EXCHANGE

    swapping = threading.Thread(target=swap)
    swapping.start()
    mounted = 0
    try:
        for _ in range(200):
            for sub in ("x", "x/secret", "x/new"):
                try:
                    found = prepare(place, volume, sub)
                except SpecError:
                    continue
                mounted += 1
                assert not found.is_file()
                assert "secret" not in os.listdir(found) or (found / "secret").is_dir()
    finally:
        stop.set()
        swapping.join()
    assert mounted
    assert os.listdir(volume.parent / "outside") == ["secret"]


@pytest.mark.docker
def test_a_link_put_there_before_the_engine_mounts_shows_nothing_of_the_host(
    machine: None, opener: None, place: Path, volume: Path
) -> None:
    """The Engine looks the path up again, when it creates the container and when it starts it."""
    engine = docker.APIClient(version="auto")
    build_image(engine)
    part = volume / "part"
    (part / "sub").mkdir(parents=True)
    (part / "mine").touch()

    def listed(source: Path, *, swap: bool) -> str:
        host = engine.create_host_config(mounts=[docker.types.Mount("/v", str(source), type="bind")])
        made = engine.create_container(
            IMAGE, ["ls", "/v"], host_config=host, name=f"sp-{secrets.token_hex(4)}"
        )
        try:
            if swap:
                part.rename(volume / "aside")
                part.symlink_to(volume.parent / "outside")
            engine.start(made)
            engine.wait(made, timeout=30)
            return str(engine.logs(made).decode())
        finally:
            engine.remove_container(made, force=True)
            if swap:
                part.unlink()
                (volume / "aside").rename(part)

    # By path, as it was: the Engine follows the link, as root.
    assert listed(part, swap=True) == "secret\n"
    assert listed(prepare(place, volume, "part"), swap=True) == "mine\nsub\n"


@pytest.mark.docker
async def test_parts_of_volumes_in_pods(cluster: Cluster, pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host")
    volumes: list[dict[str, Any]] = [
        {"name": "e", "emptyDir": {}},
        {"name": "h", "hostPath": {"path": str(tmp_path)}},
        {
            "name": "d",
            "downwardAPI": {"items": [{"path": "a/n", "fieldRef": {"fieldPath": "metadata.name"}}]},
        },
    ]
    mounts_: list[dict[str, Any]] = [
        {"name": "e", "mountPath": "/e"},
        {"name": "e", "mountPath": "/part", "subPath": "one/two"},
        {"name": "e", "mountPath": "/named", "subPathExpr": "by/$(WHO)"},
        {"name": "h", "mountPath": "/file", "subPath": "file", "readOnly": True},
        {"name": "d", "mountPath": "/name", "subPath": "a/n"},
    ]
    script = (
        "cat /file /name; echo; touch /part/x /named/y; ls /e/one/two /e/by/me; "
        "touch /file || echo read-only; [ -e /e/again ] && exec sleep 1000; touch /e/again; exit 1"
    )
    await pods.create(
        "parts",
        {"name": "a", "command": ["sh", "-c", f"({script}) 2>&1"], "volumeMounts": mounts_,
         "env": [{"name": "WHO", "value": "me"}]},
        volumes=volumes,
    )  # fmt: skip
    # The kubelet waits ten seconds before it starts the container again.
    pod = await pods.until(
        "parts", lambda p: (s := state(p, "a")) and s.restart_count == 1 and s.state.running, 90
    )
    text = await pods.logs("parts", "a")
    for words in ("from the host", "parts", "/e/one/two:\nx", "/e/by/me:\ny", "read-only"):
        assert words in text
    folder = cluster.folder / "kubelet" / "pods" / (pod.metadata.uid or "")
    # Those of the restarted container only; a kubelet that comes back adopts them and lets them go.
    assert len(mounts(folder / subpath.FOLDER)) == 4
    cluster.kill_kubelet()
    cluster.start_kubelet()
    await pods.delete("parts", grace=0)
    await pods.gone("parts")
    await eventually(lambda: not folder.exists())
    assert mounts(folder) == []
    assert (tmp_path / "file").read_text() == "from the host"


@pytest.mark.docker
async def test_a_pod_that_swaps_a_link_never_reads_the_host(pods: Pods, tmp_path: Path) -> None:
    """One container swaps a folder for a link all the time, another one mounts it again and again."""
    (tmp_path / "secret").write_text("of the host")
    swap = (
        f"mkdir -p /e/x; while true; do ln -s {tmp_path} /e/l; busybox mv /e/x /e/y; busybox mv /e/l /e/x; "
        "rm /e/x; busybox mv /e/y /e/x; done"
    ).replace("ln ", "busybox ln ")
    await pods.create(
        "swapping",
        {"name": "evil", "command": ["sh", "-c", swap], "volumeMounts": [{"name": "e", "mountPath": "/e"}]},
        {"name": "victim", "command": ["sh", "-c", "ls /x"],
         "volumeMounts": [{"name": "e", "mountPath": "/x", "subPath": "x"}]},
        volumes=[{"name": "e", "emptyDir": {}}],
    )  # fmt: skip
    for count in (1, 2):
        await pods.until(
            "swapping", lambda p, c=count: (s := state(p, "victim")) and s.restart_count >= c, 90
        )
        assert "secret" not in await pods.logs("swapping", "victim", previous="true")
