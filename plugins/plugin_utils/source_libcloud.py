# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory source: machines of any cloud that apache-libcloud knows."""

from __future__ import annotations

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._cloud import libcloud_drivers
from ansible_collections.navarch.cluster.plugins.module_utils._cloud.args import libcloud_auth_spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import NodeRecord
from ansible_collections.navarch.cluster.plugins.plugin_utils.provider_ids import cloud, of_machine

secrets = libcloud_drivers.secrets


def spec() -> Spec:
    return dict(
        libcloud_auth_spec(),
        provider={"type": "str", "required": True},
        list_arguments={"type": "dict", "default": {}},
    )


def records(options: t.Mapping[str, t.Any], problem: t.Callable[[str], None]) -> list[NodeRecord]:
    """All machines that are not gone for good, by name."""
    driver = libcloud_drivers.Libcloud(options["provider"], options)
    found = [
        NodeRecord(
            name=one.instance_name,
            address=one.address,
            variables=one.facts(),
            ids=of_machine(one.provider, one.instance_id, str(one.details.get("selfLink") or "")),
            addresses=tuple(one.public_ips + one.private_ips),
            provider=cloud(one.provider),
        )
        for one in driver.machines(options["list_arguments"])
    ]
    return sorted(found, key=lambda one: (one.name, one.ids))
