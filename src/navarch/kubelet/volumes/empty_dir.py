# SPDX-License-Identifier: GPL-3.0-or-later
"""emptyDir: a folder (or a tmpfs, medium Memory) that lives as long as the pod."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from navarch.api import quantity
from navarch.api.volume import Volume
from navarch.kubelet.volumes.base import Context, VolumeError, mount_tmpfs


class EmptyDir:
    live = False

    async def set_up(self, volume: Volume, context: Context) -> Path:
        source = volume.empty_dir
        assert source is not None
        medium = source.medium or ""
        if medium == "Memory":
            options = "mode=0777"
            if source.size_limit is not None:
                options += f",size={quantity.value(source.size_limit)}"
            await asyncio.to_thread(mount_tmpfs, context.folder, options)
        elif medium:
            raise VolumeError(f"emptyDir {volume.name!r}: medium {medium!r} is not supported")
        context.folder.mkdir(parents=True, exist_ok=True)
        group = context.fs_group
        mode = source.mode if source.mode is not None else 0o777
        if group is not None:
            os.chown(context.folder, -1, group)
            mode |= 0o2000
        os.chmod(context.folder, mode)
        return context.folder
