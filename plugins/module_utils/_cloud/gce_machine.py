# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Compute Engine instance (compute v1, resource Instance) as a machine. Only reads; no HTTP."""

from __future__ import annotations

import typing as t

from .machine import Facts, Machine

Object = t.Mapping[str, t.Any]
PROVIDER = "gce"


def last(url: t.Any) -> str | None:
    """The name at the end of a resource's URL."""
    return str(url).rpartition("/")[2] if url else None


def metadata_items(instance: Object) -> dict[str, str]:
    items = (instance.get("metadata") or {}).get("items") or []
    return {item["key"]: item.get("value", "") for item in items}


def machine(instance: Object, project: str) -> Machine:
    zone = last(instance.get("zone"))
    interfaces = instance.get("networkInterfaces") or []
    networks = [_network(interface) for interface in interfaces]
    private = [net["private_ip"] for net in networks] + [net["private_ipv6"] for net in networks]
    public = [net["public_ip"] for net in networks] + [net["public_ipv6"] for net in networks]
    disks = instance.get("disks") or []
    status = str(instance.get("status") or "UNKNOWN")
    return Machine(
        provider=PROVIDER,
        instance_name=str(instance["name"]),
        instance_id=str(instance.get("id") or ""),
        status=status,
        running=status == "RUNNING",
        project=project,
        region=zone.rpartition("-")[0] if zone else None,
        zone=zone,
        size=last(instance.get("machineType")),
        image=next(
            (last(lic) for disk in disks if disk.get("boot") for lic in disk.get("licenses") or []), None
        ),
        public_ips=[address for address in public if address],
        private_ips=[address for address in private if address],
        networks=networks,
        labels=dict(instance.get("labels") or {}),
        instance_tags=list((instance.get("tags") or {}).get("items") or []),
        metadata=metadata_items(instance),
        created=instance.get("creationTimestamp"),
        details=_details(instance, project, zone),
    )


def provider_id(found: Machine) -> str:
    """The identity that a Kubernetes node of this machine has in spec.providerID."""
    return "gce://%s/%s/%s" % (found.project, found.zone, found.instance_name)


def _network(interface: Object) -> Facts:
    access = (interface.get("accessConfigs") or [{}])[0]
    access_v6 = (interface.get("ipv6AccessConfigs") or [{}])[0]
    external = interface.get("ipv6AccessType") == "EXTERNAL"
    return {
        "name": last(interface.get("network")),
        "subnetwork": last(interface.get("subnetwork")),
        "interface": interface.get("name"),
        "private_ip": interface.get("networkIP"),
        "public_ip": access.get("natIP"),
        "private_ipv6": None if external else interface.get("ipv6Address"),
        "public_ipv6": access_v6.get("externalIpv6") or (interface.get("ipv6Address") if external else None),
        "ranges": [
            one["ipCidrRange"] for one in interface.get("aliasIpRanges") or [] if one.get("ipCidrRange")
        ],
    }


def _details(instance: Object, project: str, zone: str | None) -> Facts:
    scheduling = instance.get("scheduling") or {}
    return {
        "fqdn": instance.get("hostname") or "%s.%s.c.%s.internal" % (instance["name"], zone, project),
        "self_link": instance.get("selfLink"),
        "can_ip_forward": bool(instance.get("canIpForward")),
        "deletion_protection": bool(instance.get("deletionProtection")),
        "cpu_platform": instance.get("cpuPlatform"),
        "spot": scheduling.get("provisioningModel") == "SPOT" or bool(scheduling.get("preemptible")),
        "service_accounts": [one.get("email") for one in instance.get("serviceAccounts") or []],
        "disks": [
            {
                "name": last(disk.get("source")),
                "size_gb": int(disk.get("diskSizeGb") or 0),
                "boot": bool(disk.get("boot")),
            }
            for disk in instance.get("disks") or []
        ],
    }
