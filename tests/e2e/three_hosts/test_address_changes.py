# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose address changes while it runs, as a lease may: its peers reach its pods at the new one within
seconds, and forget the old one. A reboot with another address is `test_outages`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from .conftest import SUBNET, Hosts, pod, until

PEERS = ("node1", "node3")
#: Seconds: half of one for an address that settles, the rest for the master's news on a busy machine.
SOON = 20.0


def move(hosts: Hosts, node: str, old: str, new: str) -> None:
    """As a DHCP client does it: the old address goes, and the way out with it."""
    gateway = SUBNET.partition("0/")[0] + "1"
    change = (
        f"ip addr del {old}/24 dev eth0; ip addr add {new}/24 dev eth0; ip route add default via {gateway}"
    )
    hosts.on(node, "sh", "-ec", change)


def known(hosts: Hosts) -> dict[str, str]:
    """What node2's peers have of the overlay, in words of ip and bridge."""
    look = "bridge fdb show dev navarch-vx; ip -4 neigh show dev navarch-vx; ip route show dev navarch-vx"
    return {peer: hosts.on(peer, "sh", "-ec", look) for peer in PEERS}


@contextmanager
def moved(hosts: Hosts, old: str, new: str) -> Iterator[None]:
    move(hosts, "node2", old, new)
    try:
        yield
    finally:
        move(hosts, "node2", new, old)


def reached(hosts: Hosts, there: str, no_longer: str) -> float:
    """Seconds until the peers know node2 by the one address alone."""
    since = time.monotonic()

    def known_by_it() -> bool:
        return all(
            f" dst {there} " in entries and f" dst {no_longer} " not in entries
            for entries in known(hosts).values()
        )

    until(known_by_it, SOON, f"the peers of node2 send to {there}")
    return time.monotonic() - since


def test_a_host_that_changes_its_address_is_reached_at_the_new_one(hosts: Hosts) -> None:
    old = hosts.address("node2")
    new = SUBNET.partition("0/")[0] + "77"
    before = known(hosts)
    with moved(hosts, old, new):
        print(f"a changed address reached the peers after {reached(hosts, new, old):.1f} s")
        addresses = hosts.get("node", "node2")["status"]["addresses"]
        assert {"type": "InternalIP", "address": new} in addresses
        # Its kubelet hears what the master says, and its pods reach all others and are reached.
        hosts.apply(pod("later", "node2"))
        hosts.kubectl("wait", "--for=condition=Ready", "pod", "later", "--timeout=60s")
        until(lambda: hosts.every_pair("vxlan"), 90, "every pair")
    print(f"and the one of before after {reached(hosts, old, new):.1f} s")
    until(lambda: hosts.every_pair("vxlan"), 90, "every pair")
    assert {peer: sorted(lines.splitlines()) for peer, lines in known(hosts).items()} == {
        peer: sorted(lines.splitlines()) for peer, lines in before.items()
    }
    # The master reaches it by its certificate, and it the master.
    assert hosts.kubectl("exec", "later", "--", "sh", "-c", "echo here") == "here\n"
    hosts.kubectl("delete", "pod", "later", "--timeout=60s")
