# SPDX-License-Identifier: GPL-3.0-or-later
"""secret: the keys of a Secret as files on a tmpfs, following its changes; nothing of it reaches a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from navarch.api.core.pod.volume import KeyToPath, Volume
from navarch.kubelet.volumes.base import Context, File, mount_tmpfs, write_files
from navarch.kubelet.volumes.payload import select


async def files(
    context: Context,
    name: str,
    items: Sequence[KeyToPath] | None,
    default_mode: int | None,
    *,
    optional: bool,
) -> dict[str, File]:
    found = await context.objects.secret(context.pod.metadata.namespace or "", name)
    return select(f'secret "{name}"', found, items, default_mode, optional=optional)


class SecretVolume:
    live = True

    async def set_up(self, volume: Volume, context: Context) -> Path:
        source = volume.secret
        assert source is not None
        shown = await files(
            context,
            source.secret_name or "",
            source.items,
            source.default_mode,
            optional=bool(source.optional),
        )
        await asyncio.to_thread(mount_tmpfs, context.folder, "mode=0755")
        write_files(context.folder, shown, context.fs_group)
        return context.folder
