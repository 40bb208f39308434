# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host has what a kubelet with these settings needs. Checked before the service is started.

Whether the settings themselves can be is `config`. A kubelet that runs without says it on its node, and
goes on trying.
"""

from __future__ import annotations

import os

from navarch.kubelet.config import KubeletConfig
from navarch.network import conf
from navarch.network.cni import CniError, check_programs
from navarch.network.overlay import make
from navarch.network.overlay.base import OverlayError


def lacking(config: KubeletConfig) -> str:
    """What a person must do about it, the key first; "" when nothing lacks. Blocks for some milliseconds."""
    if not conf.is_own(config.cni_conf_dir):
        return ""  # what a user's own network wants may be brought by its own pods
    try:
        check_programs(conf.bridge_network([config.cluster_cidr], config.bridge, ""), config.cni_bin_dirs)
        if os.geteuid() == 0:
            make(config.overlay, config.vxlan).check()
    except CniError as error:
        return f"cniBinDirs: {error}"
    except OverlayError as error:
        return str(error)
    return ""
