# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy's nftables table: its fixed chains, and what one address of a service is in it.

An address is a key in maps: `services` says into which chain (one for each number of endpoints), and that
chain draws a number and finds the endpoint under address and number in `endpoints_PROTOCOL`. So a change of
an endpoint is a change of an element. Session affinity alone has chains of its own, with a set of clients an
endpoint. Loading is not known here.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from navarch.network.proxy.model import Address, Backend, Frontend

#: Added to the number drawn when clients from outside may only go to this node's endpoints.
_OUTSIDE = 65536

#: The bit of a first packet's mark, between translation and postrouting, that its source is to be hidden.
#: Everybody who knows service proxies knows this bit as theirs.
_MASQUERADE = 0x4000

#: The bit of a translated connection's own mark, by which others let its packets through (`network.host`).
TRANSLATED = 0x4000
_MARKED = f"ct mark set ct mark | {TRANSLATED}"

#: The address as maps hold it, and as the first packet and conntrack know it.
_VIP = "ip daddr . meta l4proto . th dport"
_NODEPORT = "meta l4proto . th dport"


class Element(NamedTuple):
    """An element's set or map, and its key."""

    container: str
    key: str


class Sticky(NamedTuple):
    """What session affinity needs: sets of clients with their seconds, chains with their rules.

    Names are made of what they hold: what has another content has another name.
    """

    sets: dict[str, int]
    chains: dict[str, tuple[str, ...]]


def elements(address: Address, frontend: Frontend) -> dict[Element, str]:
    """Everything the maps hold of an address, with values ("" in a set)."""
    vip = bool(address.ip)
    key = f"{address.ip} . " if vip else ""
    key += f"{address.protocol} . {address.port}"
    prefix = "" if vip else "node_"
    found: dict[Element, str] = {}
    if frontend.sources:
        found[Element("firewall", key)] = f"goto {_firewall_name(frontend)}"
    if not frontend.inside:
        # The cluster's own addresses are refused as a whole range.
        if frontend.external:
            found[Element(f"{prefix}refused", key)] = ""
        return found
    found[Element(f"{prefix}services", key)] = f"goto {_target(address, frontend, frontend.inside, 0)}"
    scopes = [(frontend.inside, 0)]
    if frontend.outside is not None:
        # None here, but some elsewhere: a balancer before the nodes has to go there.
        verdict = "drop"
        if frontend.outside:
            verdict = f"goto {_target(address, frontend, frontend.outside, _OUTSIDE)}"
        found[Element(f"{prefix}outside", key)] = verdict
        scopes.append((frontend.outside, _OUTSIDE))
    if not frontend.timeout:
        for backends, offset in scopes:
            for place, backend in enumerate(backends, offset):
                drawn = f"{address.ip} . {address.port} . {place}" if vip else f"{address.port} . {place}"
                found[Element(f"{prefix}endpoints_{address.protocol}", drawn)] = (
                    f"{backend.ip} . {backend.port}"
                )
    return found


def pools(address: Address, frontend: Frontend) -> set[str]:
    """Chains that the address's elements lead to, and that other addresses share."""
    if frontend.timeout:
        return set()
    scopes = ((frontend.inside, 0), (frontend.outside or (), _OUTSIDE))
    return {_target(address, frontend, backends, offset) for backends, offset in scopes if backends}


def first_pools(sizes: int) -> set[str]:
    """Shared chains worth having from the start: those for up to so many endpoints."""
    return {
        f"{prefix}pool_{protocol}_{size}"
        for prefix in ("", "node_")
        for protocol in ("tcp", "udp")
        for size in range(1, sizes + 1)
    }


def pool_rule(name: str) -> str:
    """What stands in a shared chain, named `[node_]pool_PROTOCOL[_outside]_SIZE`."""
    prefix, _, rest = name.partition("pool_")
    protocol, *outside, size = rest.split("_")
    offset = f" offset {_OUTSIDE}" if outside else ""
    drawn = f"{'' if prefix else 'ip daddr . '}{protocol} dport . numgen random mod {size}{offset}"
    return f"meta l4proto {protocol} {_MARKED} dnat ip to {drawn} map @{prefix}endpoints_{protocol}"


def sticky(address: Address, frontend: Frontend) -> Sticky:
    """The sets and chains of session affinity, and the chain of who may come (empty without them)."""
    found = Sticky({}, {})
    if frontend.sources:
        found.chains[_firewall_name(frontend)] = (f"ip saddr != {{ {', '.join(frontend.sources)} }} drop",)
    if not frontend.timeout:
        return found
    for backends in (frontend.inside, frontend.outside or ()):
        if not backends:
            continue
        rules: list[str] = []
        jumps: list[str] = []
        for place, backend in enumerate(backends):
            name = _backend_name(frontend, backend)
            found.sets[f"clients_{name}"] = frontend.timeout
            found.chains[f"endpoint_{name}"] = (
                f"update @clients_{name} {{ ip saddr }}",
                f"meta l4proto {address.protocol} {_MARKED} dnat ip to {backend.ip}:{backend.port}",
            )
            rules.append(f"ip saddr @clients_{name} goto endpoint_{name}")
            jumps.append(f"{place} : goto endpoint_{name}")
        rules.append(f"numgen random mod {len(backends)} vmap {{ {', '.join(jumps)} }}")
        found.chains[_sticky_name(frontend, backends)] = tuple(rules)
    return found


def _target(address: Address, frontend: Frontend, backends: tuple[Backend, ...], offset: int) -> str:
    if frontend.timeout:
        return _sticky_name(frontend, backends)
    prefix = "" if address.ip else "node_"
    return f"{prefix}pool_{address.protocol}{'_outside' if offset else ''}_{len(backends)}"


def _sticky_name(frontend: Frontend, backends: tuple[Backend, ...]) -> str:
    return f"sticky_{_digest(f'{frontend.port} {frontend.timeout} {backends}')}"


def _backend_name(frontend: Frontend, backend: Backend) -> str:
    return _digest(f"{frontend.port} {frontend.timeout} {backend}")


def _firewall_name(frontend: Frontend) -> str:
    return f"sources_{_digest(f'{frontend.port} {frontend.sources}')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def health_check(port: int) -> Element:
    """Of a port at which load balancers ask how a service is."""
    return Element("health", str(port))


def frame(service_cidr: str, cluster_cidr: str, dns: str = "", health: int = 0) -> str:
    """Maps, sets and fixed chains: the inside of the table's braces, without elements.

    Addresses are translated just before Docker does (-100) and after host ports (-110). What is still on its
    way to a service's address when it is forwarded or sent has no endpoint, and is refused before any other
    filter (0) can drop it silently; an address of the node itself in that range is its owner's business.
    Who is no pod gets the address of the node that translated, as answers must come back by it.
    dns: the node's own server. While it is started anew it is silent, so that clients ask again. health: the
    port where `health` answers for all ports of its set, 0 when it does not.
    """
    checks = ""
    if health:
        checks = f"\n    tcp dport @health fib daddr type local redirect to :{health}"
    silence = ""
    if dns:
        silence = f"""
    ip saddr {dns} icmp type destination-unreachable drop
    ip saddr {dns} tcp sport 53 tcp flags & (syn | rst | ack) == rst | ack drop"""
    vip_key = "ipv4_addr . inet_proto . inet_service"
    node_key = "inet_proto . inet_service"
    number = "numgen random mod 131072"
    # One a protocol: nft knows the type of `th dport` only while it makes a map, not when it meets it.
    endpoints = "\n".join(
        f"  map endpoints_{p} {{ typeof ip daddr . {p} dport . {number} : ip daddr . {p} dport; }}\n"
        f"  map node_endpoints_{p} {{ typeof {p} dport . {number} : ip daddr . {p} dport; }}"
        for p in ("tcp", "udp", "sctp")
    )
    return f"""\
  map services {{ type {vip_key} : verdict; }}
  map outside {{ type {vip_key} : verdict; }}
  set refused {{ type {vip_key}; }}
  map firewall {{ type {vip_key} : verdict; }}
  map node_services {{ type {node_key} : verdict; }}
  map node_outside {{ type {node_key} : verdict; }}
  set node_refused {{ type {node_key}; }}
{endpoints}
  set hairpin {{ type ipv4_addr . ipv4_addr; }}
  set health {{ type inet_service; }}

  chain firewall_prerouting {{
    type filter hook prerouting priority -110; policy accept;
    {_VIP} vmap @firewall
  }}
  chain firewall_output {{
    type filter hook output priority -110; policy accept;
    {_VIP} vmap @firewall
  }}
  chain translate {{{checks}
    ip saddr != {cluster_cidr} fib saddr type != local jump translate_outside
    ip saddr != {cluster_cidr} meta mark set meta mark | {_MASQUERADE}
    {_VIP} vmap @services
    ip daddr != 127.0.0.0/8 fib daddr type local {_NODEPORT} vmap @node_services
    meta mark set meta mark & {_MASQUERADE ^ 0xFFFFFFFF}
  }}
  chain translate_outside {{
    {_VIP} vmap @outside
    fib daddr type local {_NODEPORT} vmap @node_outside
  }}
  chain prerouting {{
    type nat hook prerouting priority -105; policy accept;
    jump translate
  }}
  chain output {{
    type nat hook output priority -105; policy accept;
    jump translate
  }}

  chain postrouting {{
    type nat hook postrouting priority 85; policy accept;
    ip saddr . ip daddr @hairpin ct status dnat masquerade fully-random
    meta mark & {_MASQUERADE} == 0 return
    meta mark set meta mark & {_MASQUERADE ^ 0xFFFFFFFF}
    masquerade fully-random
  }}

  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject
  }}
  chain refuse_forward {{
    type filter hook forward priority -20; policy accept;
    ip daddr {service_cidr} goto refuse
    ct state new {_VIP} @refused goto refuse
  }}
  chain refuse_input {{
    type filter hook input priority -20; policy accept;
    ct state new {_VIP} @refused goto refuse
    ct state new {_NODEPORT} @node_refused goto refuse
  }}
  chain refuse_output {{
    type filter hook output priority -20; policy accept;{silence}
    oifname != "lo" ip daddr {service_cidr} goto refuse
    ct state new oifname != "lo" {_VIP} @refused goto refuse
  }}
"""
