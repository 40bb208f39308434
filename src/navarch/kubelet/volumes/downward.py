# SPDX-License-Identifier: GPL-3.0-or-later
"""downwardAPI: fields of the pod itself as files, following label and annotation changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from navarch.api.core.pod.volume import DownwardAPIVolumeFile, Volume
from navarch.kubelet import downward
from navarch.kubelet.volumes.base import Context, File, VolumeError, write_files
from navarch.kubelet.volumes.payload import DEFAULT_MODE, safe


def files(
    context: Context, items: Sequence[DownwardAPIVolumeFile] | None, default_mode: int | None
) -> dict[str, File]:
    mode = DEFAULT_MODE if default_mode is None else default_mode
    shown = {}
    for item in items or ():
        safe(item.path)
        try:
            if item.field_ref is not None:
                text = downward.field(context.pod, item.field_ref.field_path, context.node_ip, context.pod_ip)
            elif item.resource_field_ref is not None:
                text = downward.resource(context.pod, "", item.resource_field_ref, context.allocatable)
            else:
                raise VolumeError(f"downwardAPI file {item.path!r} names neither a field nor a resource")
        except downward.FieldNotKnown as error:
            raise VolumeError(str(error)) from None
        shown[item.path] = File(text.encode(), mode if item.mode is None else item.mode)
    return shown


class DownwardVolume:
    live = True

    async def set_up(self, volume: Volume, context: Context) -> Path:
        source = volume.downward_api
        assert source is not None
        write_files(context.folder, files(context, source.items, source.default_mode), context.fs_group)
        return context.folder
