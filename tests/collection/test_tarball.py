# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's tarball: what it must hold and must not, and that the runtime can be made from it."""

from __future__ import annotations

import json
import subprocess
import sys
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
    *("meta", "playbooks", "plugins", "pyproject.toml", "requirements.txt", "roles", "src"),
}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_holds_what_a_host_and_a_playbook_need(unpacked: Path) -> None:
    held = names(unpacked)
    source = ROOT / "src"
    runtime = {f"src/{name}" for name in names(source) if name.endswith(".py")}
    assert runtime, "no runtime source found"
    assert runtime <= held
    for role in ("docker", "runtime", "pki", "master", "kubelet"):
        assert {
            f"roles/{role}/{part}" for part in ("README.md", "tasks/main.yml", "meta/argument_specs.yml")
        } <= held
    for playbook in ("quickstart", "site", "teardown"):
        assert f"playbooks/{playbook}.yml" in held
    modules = {name for name in names(ROOT / "plugins") if name.endswith(".py")}
    assert {f"plugins/{name}" for name in modules} <= held
    assert {"meta/runtime.yml", "README.md", "pyproject.toml"} <= held


def test_it_holds_nothing_else(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} <= SHIPPED
    for name in names(unpacked):
        assert "__pycache__" not in name
        assert not name.endswith((".pyc", ".tar.gz", ".whl", ".orig", ".log"))
        assert ".egg-info" not in name
        assert not any(part.startswith(".") for part in Path(name).parts), name


def test_the_runtimes_wheel_comes_from_it_and_is_the_same_each_time(unpacked: Path, tmp_path: Path) -> None:
    def build() -> dict[str, object]:
        done = subprocess.run(
            [
                sys.executable, str(unpacked / "roles/runtime/files/build_wheel.py"),
                "--root", str(unpacked), "--out", str(tmp_path),
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    first, second = build(), build()
    assert first["changed"] is True
    assert second == {**first, "changed": False}
    wheel = Path(str(first["wheel"]))
    content = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        held = set(archive.namelist())
    assert "navarch/cli/__init__.py" in held
    assert {name for name in held if not name.startswith("navarch")} == set()
    wheel.unlink()
    build()
    assert wheel.read_bytes() == content
