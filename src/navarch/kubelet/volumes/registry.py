# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volume types there are: a new one is a file of its own and a line here."""

from __future__ import annotations

from navarch.api.core.pod.volume import Volume
from navarch.kubelet.volumes.base import VolumeError, VolumeType
from navarch.kubelet.volumes.config_map import ConfigMapVolume
from navarch.kubelet.volumes.downward import DownwardVolume
from navarch.kubelet.volumes.empty_dir import EmptyDir
from navarch.kubelet.volumes.host_path import HostPath
from navarch.kubelet.volumes.projected import ProjectedVolume
from navarch.kubelet.volumes.secret import SecretVolume

_TYPES: dict[str, VolumeType] = {
    "empty_dir": EmptyDir(),
    "host_path": HostPath(),
    "config_map": ConfigMapVolume(),
    "secret": SecretVolume(),
    "downward_api": DownwardVolume(),
    "projected": ProjectedVolume(),
}


def find(volume: Volume) -> VolumeType:
    """The type whose source the volume has. Raises VolumeError when it is none of ours."""
    for name, type in _TYPES.items():
        if getattr(volume, name) is not None:
            return type
    raise VolumeError(f"volume {volume.name!r} is of a type this kubelet does not support")
