# SPDX-License-Identifier: GPL-3.0-or-later
"""hostPath: a file or folder of the node, checked or made as its type says."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from navarch.api.core.pod.volume import Volume
from navarch.kubelet.modes import make_file, make_folder
from navarch.kubelet.volumes.base import Context, VolumeError

_CHECKS: dict[str, Callable[[int], bool]] = {
    "Directory": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


class HostPath:
    live = False

    async def set_up(self, volume: Volume, context: Context) -> Path:
        source = volume.host_path
        assert source is not None
        path, kind = Path(source.path), source.type or ""
        if kind == "DirectoryOrCreate":
            make_folder(path)
            kind = "Directory"
        elif kind == "FileOrCreate":
            if not path.exists():
                try:
                    make_file(path)
                except OSError as error:
                    raise VolumeError(f"hostPath {path}: cannot create the file: {error.strerror}") from None
            kind = "File"
        if not kind:
            # As Docker does for a bind of a path that is missing: a folder.
            make_folder(path)
            return path
        check = _CHECKS.get(kind)
        if check is None:
            raise VolumeError(f"hostPath type {kind!r} is not known")
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise VolumeError(f"hostPath type check failed: {path}: {error.strerror}") from None
        if not check(mode):
            raise VolumeError(f"hostPath type check failed: {path} is not a {kind}")
        return path
