# SPDX-License-Identifier: GPL-3.0-or-later
"""CNI configuration files.

The one we write for the node's pod CIDR, finding the one to use, and what host-local has allocated.
"""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from typing import Any

FILE = "10-navarch.conflist"
_SUFFIXES = (".conflist", ".conf", ".json")


class ConfError(Exception):
    """No usable configuration; the text says where it was looked for."""


def bridge_network(pod_cidrs: list[str], bridge: str, ipam_dir: str, mtu: int = 0) -> dict[str, Any]:
    """A bridge with an address of each range as gateway. Masquerading is ours (`host`), not the plugin's.

    mtu 0: the plugin's choice.
    """
    ranges = [[{"subnet": cidr}] for cidr in pod_cidrs]
    routes = [{"dst": "::/0" if ":" in cidr else "0.0.0.0/0"} for cidr in pod_cidrs]
    return {
        "cniVersion": "1.0.0",
        "name": "navarch",
        "plugins": [
            {
                "type": "bridge",
                "bridge": bridge,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                **({"mtu": mtu} if mtu else {}),
                "ipam": {"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": ipam_dir},
            }
        ],
    }


def write(folder: str, network: dict[str, Any]) -> bool:
    """Put our file in place. Returns whether it changed."""
    path = Path(folder) / FILE
    text = json.dumps(network, indent=2) + "\n"
    try:
        if path.read_text() == text:
            return False
    except OSError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)
    return True


def pod_cidrs(folder: str) -> list[str]:
    """The ranges in the file that an earlier run wrote; none when there is none."""
    try:
        plugin = json.loads((Path(folder) / FILE).read_text())["plugins"][0]
        return [one["subnet"] for ranges in plugin["ipam"]["ranges"] for one in ranges]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def find(folder: str) -> Path:
    """The file to use: the first by name. Raises ConfError."""
    try:
        files = sorted(entry for entry in os.listdir(folder) if entry.endswith(_SUFFIXES))
    except OSError as error:
        raise ConfError(f"no CNI configuration in {folder}: {error.strerror}") from None
    if not files:
        raise ConfError(f"no CNI configuration in {folder}")
    return Path(folder) / files[0]


def is_own(folder: str) -> bool:
    """Whether the file to use is, or would be, ours: no other one comes before it."""
    try:
        return find(folder).name >= FILE
    except ConfError:
        return True


def first(folder: str) -> dict[str, Any]:
    """The network list of the first file by name, a single plugin made into a list. Raises ConfError."""
    path = find(folder)
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfError(f"CNI configuration {path}: {error}") from None
    if not isinstance(document, dict):
        raise ConfError(f"CNI configuration {path} is no JSON object")
    if "plugins" not in document:
        document = {
            "cniVersion": document.get("cniVersion", "0.4.0"),
            "name": document.get("name"),
            "plugins": [document],
        }
    document.setdefault("cniVersion", "0.4.0")
    if not document.get("name") or not isinstance(document["plugins"], list) or not document["plugins"]:
        raise ConfError(f"CNI configuration {path} lacks a name or plugins")
    return document


def subnets(network: dict[str, Any]) -> list[str]:
    """The ranges that the network's own address management gives out, as far as its configuration says."""
    found: list[str] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("subnet"), str):
                found.append(value["subnet"])
            value = list(value.values())
        if isinstance(value, list):
            for entry in value:
                look(entry)

    look([plugin.get("ipam") for plugin in network["plugins"] if isinstance(plugin, dict)])
    return [cidr for cidr in found if _is_network(cidr)]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def allocated(network: dict[str, Any]) -> list[str]:
    """Container ids that host-local holds addresses for in a network list that is ours.

    A user's own is left alone.
    """
    ids: list[str] = []
    if network.get("name") != "navarch":
        return ids
    for plugin in network["plugins"]:
        ipam = plugin.get("ipam") or {}
        folder = ipam.get("dataDir")
        if ipam.get("type") != "host-local" or not folder:
            continue
        for path in Path(folder, network["name"]).glob("[0-9a-f]*[.:]*"):
            try:
                # host-local: container id, newline, interface name.
                ids.append(path.read_text().split()[0])
            except (OSError, IndexError):
                continue
    return ids
