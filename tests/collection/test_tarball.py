# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's tarball: what it must hold and must not, and the runtime in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Every top-level entry that a user of the collection has a use for.
SHIPPED = {
    *(
        "CHANGELOG.rst",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "SECURITY.md",
        "bindep.txt",
        "changelogs",
        "docs",
        "extensions",
    ),
    *("meta", "playbooks", "plugins", "requirements.txt", "roles"),
}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_holds_what_a_host_and_a_playbook_need(unpacked: Path) -> None:
    held = names(unpacked)
    wheels = [name for name in held if name.endswith(".whl")]
    assert len(wheels) == 1
    assert re.fullmatch(r"roles/runtime/files/navarch-[0-9.]+\+h[0-9a-f]{12}-py3-none-any\.whl", wheels[0])
    for role in ("docker", "runtime", "pki", "master", "kubelet"):
        assert {
            f"roles/{role}/{part}" for part in ("README.md", "tasks/main.yml", "meta/argument_specs.yml")
        } <= held
    for playbook in ("quickstart", "site", "teardown"):
        assert f"playbooks/{playbook}.yml" in held
    modules = {name for name in names(ROOT / "plugins") if name.endswith(".py")}
    assert {f"plugins/{name}" for name in modules} <= held
    assert {"meta/runtime.yml", "README.md"} <= held


def test_it_holds_nothing_else(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} <= SHIPPED
    for name in names(unpacked):
        assert "__pycache__" not in name
        assert not name.endswith((".pyc", ".tar.gz", ".orig", ".log"))
        assert ".egg-info" not in name
        assert not any(part.startswith(".") for part in Path(name).parts), name


def pack(collection: Path, out: Path) -> dict[str, object]:
    """What the role runtime makes of a collection's runtime on the controller."""
    parts = collection / "roles" / "runtime" / "files"
    done = subprocess.run(
        [
            sys.executable, parts / "build_wheel.py", f"--root={collection}", f"--out={out}",
            f"--requirements={parts / 'requirements.txt'}", f"--installer={parts / 'install.sh'}",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def galaxy(*arguments: str | Path) -> None:
    program = Path(sys.executable).parent / "ansible-galaxy"
    subprocess.run(
        [program, "collection", *arguments], capture_output=True, text=True, check=True, timeout=120
    )


def installed(folder: Path) -> Path:
    return folder / "ansible_collections" / "navarch" / "cluster"


def test_a_role_has_the_runtime_without_its_source(tarball: Path, tmp_path: Path) -> None:
    galaxy("install", "--force", "--offline", "-p", tmp_path / "collections", tarball)
    collection = installed(tmp_path / "collections")
    for part in set(os.listdir(collection)) - {"meta", "plugins", "roles", "playbooks"}:
        path = collection / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    answer = pack(collection, tmp_path / "out")
    source = {name for name in names(ROOT / "src") if name.endswith(".py")}
    with zipfile.ZipFile(str(answer["wheel"])) as archive:
        assert archive.testzip() is None
        held = set(archive.namelist())
    assert source and source <= held
    assert {name for name in held if not name.startswith("navarch")} == set()
    with tarfile.open(str(answer["bundle"])) as bundle:
        assert Path(str(answer["wheel"])).name in bundle.getnames()


def test_a_collection_from_git_has_the_same_runtime(unpacked: Path, tmp_path: Path) -> None:
    def git(*words: str | Path) -> None:
        name = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *name, *words], capture_output=True, check=True, timeout=120)

    clone = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for file in (name for name in listed if name and (ROOT / name).is_file()):
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, clone / file)
    git("init", "-q", clone)
    git("-C", clone, "add", "-A")
    git("-C", clone, "commit", "-q", "-m", "all")
    galaxy("install", "--force", "-p", tmp_path / "collections", f"git+file://{clone}")
    from_git = pack(installed(tmp_path / "collections"), tmp_path / "out")
    from_tarball = pack(unpacked, tmp_path / "out")
    assert from_git["changed"] is True and from_tarball["changed"] is False
    assert from_git["id"] == from_tarball["id"]
    assert Path(str(from_git["wheel"])).name == Path(str(from_tarball["wheel"])).name


def test_the_wheel_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = pack(ROOT, tmp_path), pack(ROOT, tmp_path)
    assert first["changed"] is True
    assert second == {**first, "changed": False}
    wheel = Path(str(first["wheel"]))
    content = wheel.read_bytes()
    wheel.unlink()
    pack(ROOT, tmp_path)
    assert wheel.read_bytes() == content


def test_a_collection_without_runtime_says_so(unpacked: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(unpacked / "roles" / "runtime" / "files", copy, ignore=shutil.ignore_patterns("*.whl"))
    command = [sys.executable, copy / "build_wheel.py", f"--root={tmp_path}", f"--out={tmp_path}/out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["id"]) == (1, "")
    assert answer["error"].startswith("the collection has neither")
