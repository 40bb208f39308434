# SPDX-License-Identifier: GPL-3.0-or-later
"""configMap: the keys of a ConfigMap as files, following its changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from navarch.api.core.pod.volume import KeyToPath, Volume
from navarch.kubelet.volumes.base import Context, File, write_files
from navarch.kubelet.volumes.payload import select


async def files(
    context: Context,
    name: str,
    items: Sequence[KeyToPath] | None,
    default_mode: int | None,
    *,
    optional: bool,
) -> dict[str, File]:
    found = await context.objects.config_map(context.pod.metadata.namespace or "", name)
    return select(f'configmap "{name}"', found, items, default_mode, optional=optional)


class ConfigMapVolume:
    live = True

    async def set_up(self, volume: Volume, context: Context) -> Path:
        source = volume.config_map
        assert source is not None
        shown = await files(
            context, source.name or "", source.items, source.default_mode, optional=bool(source.optional)
        )
        write_files(context.folder, shown, context.fs_group)
        return context.folder
