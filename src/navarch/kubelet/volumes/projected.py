# SPDX-License-Identifier: GPL-3.0-or-later
"""projected.

Several of ConfigMap, Secret, downward API and service account token in one folder, on a tmpfs since secrets
may be among them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from navarch.api.core.pod.volume import ServiceAccountTokenProjection, Volume
from navarch.kubelet.tokens import TokenUnavailable
from navarch.kubelet.volumes import config_map, downward, secret
from navarch.kubelet.volumes.base import Context, File, VolumeError, mount_tmpfs, write_files
from navarch.kubelet.volumes.payload import DEFAULT_MODE, safe

_SECONDS = 3600


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
            elif part.service_account_token is not None:
                shown |= await _token(context, part.service_account_token, source.default_mode)
            else:
                raise VolumeError(f"projected volume {volume.name!r} has a source this kubelet does not know")
        await asyncio.to_thread(mount_tmpfs, context.folder, "mode=0755")
        write_files(context.folder, shown, context.fs_group)
        return context.folder


async def _token(
    context: Context, wanted: ServiceAccountTokenProjection, default_mode: int | None
) -> dict[str, File]:
    safe(wanted.path)
    seconds = wanted.expiration_seconds or _SECONDS
    try:
        token = await context.tokens.get(context.pod, wanted.audience or "", seconds)
    except TokenUnavailable as error:
        raise VolumeError(str(error)) from None
    return {wanted.path: File(token.encode(), DEFAULT_MODE if default_mode is None else default_mode)}
