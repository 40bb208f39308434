# SPDX-License-Identifier: GPL-3.0-or-later
"""Build one wheel of the runtime on the Ansible controller, with the standard library alone.

Reads name, version, dependencies and entry points from ``pyproject.toml`` beside ``src/navarch``; the version
gets a hash of the content, so that a host can tell by the file's name whether it has this very runtime.
Prints one JSON line: ``{"changed": bool, "wheel": PATH, "version": VERSION}``. Nothing here knows of hosts.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import tempfile
import tomllib
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same source gives the same bytes


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
    """Write the wheel into `out` unless it is there, and remove wheels of other contents."""
    project = load_project(root)
    files = source_files(root)
    if not files:
        raise SystemExit(f"no runtime source under {root / 'src' / 'navarch'}")
    digest = hashlib.sha256(json.dumps(project, sort_keys=True).encode())
    for path, content in files:
        digest.update(path.encode() + b"\0" + hashlib.sha256(content).digest())
    version = f"{project['version']}+h{digest.hexdigest()[:12]}"
    target = out / f"{project['name']}-{version}-py3-none-any.whl"
    answer: dict[str, object] = {"changed": False, "wheel": str(target), "version": version}
    if target.exists():
        return answer
    files += metadata_files(project, version)
    name = f"{project['name']}-{version}.dist-info/RECORD"
    files.append((name, record(files, name)))
    out.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=out, suffix=".part")
    with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files:
            member = zipfile.ZipInfo(path, EPOCH)
            member.external_attr = 0o644 << 16
            wheel.writestr(member, content, zipfile.ZIP_DEFLATED)
    Path(temporary).chmod(0o644)
    Path(temporary).rename(target)
    for old in out.glob(f"{project['name']}-*.whl"):
        if old != target:
            old.unlink(missing_ok=True)
    answer["changed"] = True
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, required=True, help="folder with pyproject.toml and src/navarch")
    parser.add_argument("--out", type=Path, required=True, help="folder for the wheel")
    arguments = parser.parse_args()
    print(json.dumps(build(arguments.root.resolve(), arguments.out.resolve())))


if __name__ == "__main__":
    main()
