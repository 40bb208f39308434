# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""By which names and ids nodes and machines of clouds know each other: a node's ``spec.providerID`` is
``CLOUD://`` and what that cloud calls the machine.
"""

from __future__ import annotations

#: Clouds by the scheme of a providerID where libcloud's name is another.
_CALLED = {
    "aws": "ec2",
    "alicloud": "aliyun_ecs",
    "azure": "azure_arm",
    "external_cloudstack": "cloudstack",
    "packet": "equinixmetal",
}
#: Clouds whose machines' ids are in the providerIDs of their nodes: without one in common they are two.
TOLD_BY_ID = {"azure_arm", "digitalocean", "ec2", "gce", "openstack"}


def cloud(name: str) -> str:
    """One name for each cloud, be it libcloud's or a providerID's."""
    name = name.lower().replace("-", "_")
    return "ec2" if name.startswith("ec2_") else _CALLED.get(name, name)


def of_node(provider_id: str, name: str) -> tuple[str, tuple[str, ...]]:
    """The cloud and the ids that a providerID tells of, the whole one first."""
    scheme, known, path = provider_id.rpartition("://")
    provider, ending = cloud(scheme), path.rpartition("/")[2]
    if not path or (provider not in TOLD_BY_ID and ending == name):
        return "", ()  # k3s and kind have no cloud, and repeat the node's own name
    if not known:
        return "", (provider_id,)
    if provider == "azure_arm":  # which writes the same path in upper and in lower case
        return provider, (provider_id.lower(),)
    return provider, (provider_id,) if provider == "gce" else (provider_id, ending)


def of_machine(provider: str, instance_id: str, link: str = "") -> tuple[str, ...]:
    """The ids of a machine of libcloud. ``link``: its address in the cloud's own API, where it has one."""
    if cloud(provider) == "azure_arm":
        return (instance_id, "azure://%s" % instance_id.lower())
    parts = link.partition("/projects/")[2].split("/")
    if provider == "gce" and len(parts) == 5:  # PROJECT/zones/ZONE/instances/NAME
        return (instance_id, "gce://%s/%s/%s" % (parts[0], parts[2], parts[4]))
    return (instance_id,)
