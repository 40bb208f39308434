# SPDX-License-Identifier: GPL-3.0-or-later
"""emptyDir: a folder (or a tmpfs, medium Memory) that lives as long as the pod."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from navarch.api.core.pod.volume import Volume
from navarch.api.machinery import quantity
from navarch.kubelet.volumes.base import Context, VolumeError, mount_tmpfs


class EmptyDir:
    live = False

    async def set_up(self, volume: Volume, context: Context) -> Path:
        source = volume.empty_dir
        assert source is not None
        medium = source.medium or ""
        group = context.fs_group
        mode = (source.mode if source.mode is not None else 0o777) | (0o2000 if group is not None else 0)
        if medium == "Memory":
            options = f"mode={mode:04o}" + (f",gid={group}" if group is not None else "")
            if source.size_limit is not None:
                options += f",size={quantity.value(source.size_limit)}"
            await asyncio.to_thread(mount_tmpfs, context.folder, options)
        elif medium:
            raise VolumeError(f"emptyDir {volume.name!r}: medium {medium!r} is not supported")
        elif not context.folder.exists():
            # What the pod's processes do to it later stays. Whole when it has its name, which has no dot.
            fresh = context.folder.with_name(f"{context.folder.name}.new")
            fresh.mkdir(parents=True, exist_ok=True)
            if group is not None:
                os.chown(fresh, -1, group)
            fresh.chmod(mode)
            fresh.rename(context.folder)
        return context.folder
