# SPDX-License-Identifier: GPL-3.0-or-later
"""projected.

Several of ConfigMap, Secret and downward API in one folder, on a tmpfs since secrets may be among them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from navarch.api.volume import Volume
from navarch.kubelet.volumes import config_map, downward, secret
from navarch.kubelet.volumes.base import Context, File, VolumeError, mount_tmpfs, write_files


class ProjectedVolume:
    live = True

    async def set_up(self, volume: Volume, context: Context) -> Path:
        source = volume.projected
        assert source is not None
        shown: dict[str, File] = {}
        for part in source.sources or ():
            if part.config_map is not None:
                cm = part.config_map
                shown |= await config_map.files(
                    context, cm.name or "", cm.items, source.default_mode, optional=bool(cm.optional)
                )
            elif part.secret is not None:
                sec = part.secret
                shown |= await secret.files(
                    context, sec.name or "", sec.items, source.default_mode, optional=bool(sec.optional)
                )
            elif part.downward_api is not None:
                shown |= downward.files(context, part.downward_api.items, source.default_mode)
            else:
                raise VolumeError(f"projected volume {volume.name!r} has a source this kubelet does not know")
        await asyncio.to_thread(mount_tmpfs, context.folder, "mode=0755")
        write_files(context.folder, shown, context.fs_group)
        return context.folder
