# SPDX-License-Identifier: GPL-3.0-or-later
"""image and image_info against a real Engine: folders, archives, nothing twice, nothing in check mode."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from pods_support import able

Play = Callable[..., list[dict[str, Any]]]
pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.skipif(not able(), reason="needs an Engine")]


@pytest.fixture(scope="module")
def kubeconfig() -> str:
    return "/not/needed"


@pytest.fixture
def engine() -> Iterator[Any]:
    client = docker.APIClient(version="auto")
    yield client
    client.close()


@pytest.fixture
def name(engine: Any) -> Iterator[str]:
    repository = f"navarch-test/made-{secrets.token_hex(4)}"
    yield repository
    for image in engine.images(repository):
        for tag in image["RepoTags"] or []:
            engine.remove_image(tag, force=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system."""
    folder = tmp_path / "root"
    (folder / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin" / "busybox")
    (folder / "bin" / "sh").symlink_to("busybox")
    os.chown(folder / "bin" / "busybox", 1234, 1234)
    return folder


def task(name: str, **options: Any) -> dict[str, Any]:
    return {"navarch.cluster.image": {"name": name, **options}}


def output(image: str, *command: str) -> str:
    words = ["docker", "run", "--rm", "--network=none", "--pull=never", image, *command]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_folder_becomes_an_image_once(play: Play, engine: Any, name: str, root: Path) -> None:
    settings = {
        "command": ["/bin/sh", "-c", 'echo "$GREETING"; pwd'],
        "env": {"GREETING": 'a "b" $c \\ d'},
        "labels": {"made by": "tests"},
        "working_dir": "/bin",
    }
    made = task(f"{name}:1", src=str(root), **settings)
    checked, first, again = play({**made, "check_mode": True}, made, made)
    assert [r["changed"] for r in (checked, first, again)] == [True, True, False]
    assert first["image"] == again["image"]
    assert first["image"]["tags"] == [f"{name}:1"]
    assert first["image"]["labels"]["made by"] == "tests"
    assert output(f"{name}:1") == 'a "b" $c \\ d\n/bin\n'
    assert output(f"{name}:1", "/bin/busybox", "stat", "-c", "%u", "/bin/busybox") == "0\n"

    (root / "new").write_text("x")
    changed, owned, reset = play(made, task(f"{name}:1", src=str(root), keep_owners=True), made)
    assert (changed["changed"], owned["changed"], reset["changed"]) == (True, True, True)
    assert changed["diff"]["before"]["id"] == first["image"]["id"]
    for image in (first, changed, owned):
        engine.remove_image(image["image"]["id"])


def test_archives(play: Play, engine: Any, name: str, root: Path, tmp_path: Path) -> None:
    plain, saved, empty = tmp_path / "plain.tar", tmp_path / "saved.tar", tmp_path / "empty.tar"
    with tarfile.open(plain, "w") as tar:
        tar.add(root, ".")
    tarfile.open(empty, "w").close()
    first, again = play(task(f"{name}:a", src=str(plain)), task(f"{name}:a", src=str(plain)))
    assert (first["changed"], again["changed"]) == (True, False)
    with saved.open("wb") as file:
        file.writelines(engine.get_image(f"{name}:a"))
    load, other = task(f"{name}:a", src=str(saved)), task(f"{name}:b", src=str(saved))
    results = play(
        load, task(f"{name}:a", state="absent"), {**load, "check_mode": True}, load, load, other, other,
        {"navarch.cluster.image_info": {"name": name}},
        task(f"{name}:a", src=str(saved), type="rootfs", command=["x"]),
        {"navarch.cluster.image_info": {"name": f"{name}:none"}},
    )  # fmt: skip
    changes = [r["changed"] for r in results]
    assert changes == [False, True, True, True, False, True, False, False, True, False]
    assert results[1]["image"] == results[1]["diff"]["after"] == {}
    assert results[3]["image"]["id"] == first["image"]["id"]
    assert [image["tags"] for image in results[7]["images"]] == [[f"{name}:a", f"{name}:b"]]
    assert results[9]["images"] == []


def test_mistakes_are_told_in_a_line(play: Play, engine: Any, name: str, root: Path, tmp_path: Path) -> None:
    [made] = play(task(f"{name}:used", src=str(root), command=["/bin/busybox", "sleep", "60"]))
    used = engine.create_container(f"{name}:used")
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "odd").mkdir()
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        tar.add(tmp_path / "text", "manifest.json")
    try:
        results = play(
            task(f"{name}:used", state="absent"),
            task(f"{name}:used"),
            task("UPPER:1", src=str(root)),
            task("a b@sha256:x", src=str(root)),
            task(f"{name}:x", src="/not/there"),
            task(f"{name}:x", src=str(tmp_path / "text")),
            task(f"{name}:x", src=str(tmp_path / "odd.tar")),
            task(f"{name}:x", src=str(tmp_path / "odd.tar"), type="archive", command=["x"]),
            task(f"{name}:x", src=str(root), env={"A": "b\nc"}),
            task(f"{name}:x", src=str(root), docker_socket="/not/there.sock"),
            task(f"{name}:x", src=str(root), docker_socket=str(tmp_path / "text")),
            task(f"{name}:x", state="absent"),
            task(f"{name}:used", state="absent", force=True),
        )
    finally:
        engine.remove_container(used["Id"], force=True)
    words = [
        "is in use: ",
        "state is present but all of the following are missing: src",
        "name: 'UPPER:1' is no name",
        "name: 'a b@sha256:x' is no name",
        "src: there is no /not/there on this machine",
        "is no tar archive",
        "is no archive as docker save makes it",
        "command: an archive of images has its own",
        "env: cannot have a line break",
        "docker_socket: there is no socket /not/there.sock",
        "docker_socket: no Engine answers at ",
    ]
    for result, word in zip(results, words, strict=False):
        assert result.get("failed"), word
        assert word in result["msg"]
        assert "\n" not in result["msg"]
    assert (results[-2]["changed"], results[-1]["changed"]) == (False, True), made
