# SPDX-License-Identifier: GPL-3.0-or-later
"""Make one wheel of the runtime on the Ansible controller, and one file with all that a host needs to install
it, with the standard library alone.

A checkout has the source. The wheel is built from ``src/navarch``, with name, version, dependencies and entry
points of the ``pyproject.toml`` beside it; the version gets a hash of the content. The collection's tarball
has that wheel beside this file in place of the source (``tools/collection.py`` puts it there).

Prints one JSON line: ``{"changed": bool, "wheel": PATH, "version": VERSION, "id": ID, "bundle": PATH}``.
A host that notes the id has this very runtime. A failure is a line ``{"id": "", "error": MESSAGE}``. Nothing
here knows of hosts.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import re
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same source gives the same bytes
KEPT_SECONDS = 3 * 86400  # what was built is kept: another run may be copying it


def load_project(root: Path) -> dict[str, object]:
    """The ``[project]`` table of pyproject.toml."""
    with (root / "pyproject.toml").open("rb") as stream:
        project: dict[str, object] = tomllib.load(stream)["project"]
    return project


def source_files(root: Path) -> list[tuple[str, bytes]]:
    """(name in the wheel, content) of every file of the package, in a fixed order."""
    src = root / "src"
    found = []
    for path in sorted((src / "navarch").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            found.append((path.relative_to(src).as_posix(), path.read_bytes()))
    return found


def metadata_files(project: dict[str, object], version: str) -> list[tuple[str, bytes]]:
    """The files of dist-info but RECORD, after the core metadata and wheel specifications."""
    info = f"{project['name']}-{version}.dist-info"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {version}",
        f"Summary: {project['description']}",
        f"Requires-Python: {project['requires-python']}",
    ]
    dependencies = project.get("dependencies", [])
    scripts = project.get("scripts", {})
    assert isinstance(dependencies, list) and isinstance(scripts, dict)
    lines += [f"Requires-Dist: {dependency}" for dependency in dependencies]
    entry_points = ["[console_scripts]", *(f"{name} = {target}" for name, target in scripts.items())]
    wheel = ["Wheel-Version: 1.0", "Generator: navarch", "Root-Is-Purelib: true", "Tag: py3-none-any"]
    return [
        (f"{info}/METADATA", text(lines)),
        (f"{info}/WHEEL", text(wheel)),
        (f"{info}/entry_points.txt", text(entry_points)),
    ]


def text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def record(files: list[tuple[str, bytes]], name: str) -> bytes:
    """RECORD: each file's path, hash and size; its own line has neither."""
    rows = []
    for path, content in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(content)}")
    return text([*rows, f"{name},,"])


def build(root: Path, out: Path) -> dict[str, object]:
    """Write the wheel into `out` unless it is there."""
    project = load_project(root)
    files = source_files(root)
    digest = hashlib.sha256(json.dumps(project, sort_keys=True).encode())
    for path, content in files:
        digest.update(path.encode() + b"\0" + hashlib.sha256(content).digest())
    version = f"{project['version']}+h{digest.hexdigest()[:12]}"
    target = out / f"{project['name']}-{version}-py3-none-any.whl"
    answer: dict[str, object] = {"changed": False, "wheel": str(target), "version": version}
    if target.exists():
        os.utime(target)
        return answer
    files += metadata_files(project, version)
    name = f"{project['name']}-{version}.dist-info/RECORD"
    files.append((name, record(files, name)))
    with replacing(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files:
            member = zipfile.ZipInfo(path, EPOCH)
            member.external_attr = 0o644 << 16
            wheel.writestr(member, content, zipfile.ZIP_DEFLATED)
    answer["changed"] = True
    return answer


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A stream whose content becomes the target's when all went well; files nobody used for days go."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        Path(temporary).chmod(0o644)
        Path(temporary).rename(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    for old in [*target.parent.glob("navarch-*.whl"), *target.parent.glob("navarch-*.tar")]:
        with contextlib.suppress(OSError):
            if old != target and old.stat().st_mtime < time.time() - KEPT_SECONDS:
                old.unlink()


def given(wheel: Path) -> dict[str, object]:
    """What `build` answers, of a wheel that is there already."""
    found = re.fullmatch(r"navarch-([^-]+)-py3-none-any\.whl", wheel.name)
    if not found or not zipfile.is_zipfile(wheel):
        raise SystemExit(f"runtime_wheel: {wheel} is no wheel of the runtime")
    return {"changed": False, "wheel": str(wheel), "version": found[1]}


def own(root: Path, out: Path) -> dict[str, object]:
    """The collection's own runtime: built where its source is, else the wheel that came with the tarball."""
    if (root / "src" / "navarch").is_dir():
        return build(root, out)
    shipped = sorted(Path(__file__).resolve().parent.glob("navarch-*.whl"))
    if len(shipped) != 1:
        found = f"{len(shipped)} wheels" if shipped else "no wheel"
        raise SystemExit(
            f"the collection has neither {root / 'src' / 'navarch'} nor one wheel beside it ({found})"
        )
    return given(shipped[0])


def bundle(
    wheel: Path, out: Path, requirements: Path, installer: Path, wheels: Path | None
) -> tuple[str, Path]:
    """(id of the runtime, tar with the wheel, the pinned versions, how to install them and their wheels)."""
    pins = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    id = f"{wheel.name.split('-')[1]}-{pins}"
    beside: list[Path] = []
    if wheels is not None:
        if not wheels.is_dir():
            raise SystemExit(f"runtime_wheel_dir: {wheels} is no folder on the controller")
        beside = sorted(path for path in wheels.glob("*.whl") if not path.name.startswith("navarch-"))
        if not beside:
            raise SystemExit(f"runtime_wheel_dir: {wheels} holds no wheels")
    content = hashlib.sha256(installer.read_bytes())
    for path in beside:
        content.update(f"{path.name} {path.stat().st_size}\n".encode())
    target = out / f"navarch-{id}-{content.hexdigest()[:8]}.tar"
    if target.exists():
        os.utime(target)
        return id, target
    with replacing(target) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(installer, "install.sh")
        tar.add(requirements, "requirements.txt")
        for path in [wheel, *beside]:
            tar.add(path, path.name)
    return id, target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, required=True, help="folder of the collection")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--wheel", default="", help="a wheel of the runtime to take instead of building one")
    parser.add_argument(
        "--requirements", type=Path, help="pinned versions and their hashes; with it the bundle is made"
    )
    parser.add_argument("--installer", type=Path, help="the script that installs a bundle")
    parser.add_argument("--wheels", default="", help="folder with wheels of the dependencies")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    answer = given(Path(arguments.wheel).resolve()) if arguments.wheel else own(arguments.root.resolve(), out)
    if arguments.requirements:
        wheels = Path(arguments.wheels).resolve() if arguments.wheels else None
        id, packed = bundle(
            Path(str(answer["wheel"])), out, arguments.requirements, arguments.installer, wheels
        )
        answer |= {"id": id, "bundle": str(packed)}
    print(json.dumps(answer))


if __name__ == "__main__":
    try:
        main()
    except (SystemExit, OSError) as problem:
        if isinstance(problem, SystemExit) and not isinstance(problem.code, str):
            raise
        print(json.dumps({"id": "", "error": str(problem)}))
        sys.exit(1)
