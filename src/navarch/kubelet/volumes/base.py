# SPDX-License-Identifier: GPL-3.0-or-later
"""What a volume type is, what it may use, and writing a volume's files so that a reader never sees half of a
change.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.volume import Volume
from navarch.kubelet.modes import make_folder
from navarch.kubelet.objects import PodObjects
from navarch.kubelet.tokens import TokenSource

_DATA = "..data"


class VolumeError(Exception):
    """The volume cannot be set up now; the text goes to the pod's event and it is tried again."""


class File(msgspec.Struct, frozen=True, gc=False):
    content: bytes
    mode: int = 0o644


class Context(msgspec.Struct, frozen=True):
    """What a volume type may use. folder: the pod's own folder for this volume, not yet made."""

    pod: Pod
    folder: Path
    objects: PodObjects
    tokens: TokenSource
    node_ip: str = ""
    pod_ip: str = ""
    allocatable: Mapping[str, int] = {}

    @property
    def fs_group(self) -> int | None:
        security = self.pod.spec.security_context if self.pod.spec else None
        return security.fs_group if security else None


class VolumeType(Protocol):
    #: Whether the content follows an API object: set up again when one changes.
    live: bool

    async def set_up(self, volume: Volume, context: Context) -> Path:
        """The host path to mount.

        Called again on every change and after a restart: idempotent. Raises VolumeError.
        """


def write_files(folder: Path, files: Mapping[str, File], fs_group: int | None) -> bool:
    """Make the folder show exactly these files. Returns whether something changed.

    The files lie in a folder of their own, to which `..data` points; a change writes a new folder and moves
    the link in one step, as the reference kubelet does, so that readers see the old files or the new ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    link = folder / _DATA
    if _shows(link, files):
        return False
    fresh = folder / f"..{time.strftime('%Y_%m_%d_%H_%M_%S', time.gmtime())}.{time.monotonic_ns()}"
    make_folder(fresh)
    for name, file in files.items():
        path = fresh / name
        make_folder(path.parent)
        path.write_bytes(file.content)
        path.chmod(file.mode | (0o440 if fs_group is not None else 0))
        if fs_group is not None:
            os.chown(path, -1, fs_group)
    old = folder / os.readlink(link) if link.is_symlink() else None
    temporary = folder / "..data_new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.rename(link)
    tops = {name.split("/", 1)[0] for name in files}
    for name in tops:
        entry = folder / name
        if not entry.is_symlink():
            entry.symlink_to(f"{_DATA}/{name}")
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def was_set_up(folder: Path) -> bool:
    """Whether `write_files` has filled it."""
    return (folder / _DATA).is_symlink()


def _shows(link: Path, files: Mapping[str, File]) -> bool:
    if not link.is_symlink():
        return False
    root = link.resolve()
    inside = list(root.rglob("*"))
    if {str(path.relative_to(root)) for path in inside if path.is_file()} != set(files):
        return False
    if any(path.stat().st_mode & 0o777 != 0o755 for path in (root, *inside) if path.is_dir()):
        return False
    return all((root / name).read_bytes() == file.content for name, file in files.items())


def mount_tmpfs(folder: Path, options: str) -> None:
    """Mount a tmpfs there unless one is. Raises VolumeError."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.path.ismount(folder):
        return
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise VolumeError(f"cannot mount a tmpfs at {folder}: {done.stderr.strip()}")


def tear_down(folder: Path) -> None:
    """Unmount what is mounted below a pod's folder, and remove it.

    Raises OSError when something is still busy.
    """
    if not folder.exists():
        return
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
        inside = [line.split(" ", 2)[1].replace("\\040", " ") for line in mounts]
    root = str(folder.resolve())
    for path in sorted((p for p in inside if p == root or p.startswith(root + "/")), reverse=True):
        done = subprocess.run(["umount", path], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"cannot unmount {path}: {done.stderr.strip()}")
    shutil.rmtree(folder)
