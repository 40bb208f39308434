# SPDX-License-Identifier: GPL-3.0-or-later
"""Services and names on three hosts: from pods, from nodes, and from outside, which is this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conftest import NODES, SUBNET, Hosts, Spot, run, until, whom

PORTS = [
    {"name": "stream", "protocol": "TCP", "port": 80, "targetPort": 7000},
    {"name": "datagrams", "protocol": "UDP", "port": 53, "targetPort": 7000},
]
BY = {"tcp": PORTS[0]["port"], "udp": PORTS[1]["port"]}
#: This machine, as the hosts' network sees it.
OUTSIDE = SUBNET.partition("0/")[0] + "1"
#: So many calls meet every one of four pods: that one is left out happens once in ten million times.
CALLS = 60
DOMAIN = "default.svc.cluster.local"


def service(name: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "labels": {"made": "here"}}
    whole = {"selector": {"app": "talk"}, "ports": PORTS, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": whole}


@pytest.fixture(scope="module")
def talk(hosts: Hosts) -> Iterator[dict[str, Any]]:
    """The services' specs by name, with a server behind in every pod."""
    hosts.serve(hosts.spots("vxlan"))
    hosts.apply(
        service("talk"),
        service("sticky", sessionAffinity="ClientIP"),
        service("bare", clusterIP="None"),
        service("door", type="NodePort"),
        service("near", type="NodePort", externalTrafficPolicy="Local", selector={"node": "node2"}),
        service("nobody", selector={"app": "nobody"}),
        service("away", type="ExternalName", externalName=f"talk.{DOMAIN}", selector=None, ports=None),
    )
    try:
        yield {item["metadata"]["name"]: item["spec"] for item in hosts.get("services")["items"]}
    finally:
        hosts.kubectl("delete", "services", "-l", "made=here")
        hosts.silence()


@pytest.fixture(scope="module")
def spots(hosts: Hosts, talk: dict[str, Any]) -> list[Spot]:
    found = hosts.spots("vxlan")
    address = talk["talk"]["clusterIP"]
    for spot in found:  # the rules have come to every node
        until(lambda spot=spot: len(hosts.probe(spot, "call", "tcp", address, 80, 1)[0]) == 2, 30, spot.name)
    return found


def pods(spots: list[Spot]) -> set[str]:
    return {spot.name for spot in spots if spot.pid != 1}


def test_every_pod_and_node_reaches_every_pod_of_a_service(
    hosts: Hosts, talk: dict[str, Any], spots: list[Spot]
) -> None:
    address, named = talk["talk"]["clusterIP"], {spot.name: spot for spot in spots}

    def ask(spot: Spot, protocol: str) -> None:
        answers = hosts.probe(spot, "call", protocol, address, BY[protocol], CALLS)
        assert {answer[-1] for answer in answers} == pods(spots), f"{spot.name} by {protocol}"
        for seen, name in answers:
            if (
                name == spot.name
            ):  # a pod that meets itself sees its node's bridge, or its answers would stay within
                assert seen == spot.address.rpartition(".")[0] + ".1"
            else:
                assert seen == whom(spot, named[name], spots), f"{spot.name} -> {name} by {protocol}"

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(ask, spot, protocol) for spot in spots for protocol in BY]:
            done.result()


def test_a_client_stays_with_its_pod_where_asked(
    hosts: Hosts, talk: dict[str, Any], spots: list[Spot]
) -> None:
    for spot in spots:
        answers = hosts.probe(spot, "call", "tcp", talk["sticky"]["clusterIP"], 80, 20)
        assert len({name for _, name in answers}) == 1, spot.name


def test_a_service_without_pods_refuses_at_once(
    hosts: Hosts, talk: dict[str, Any], spots: list[Spot]
) -> None:
    for spot in spots:
        answers = hosts.probe(spot, "call", "tcp", talk["nobody"]["clusterIP"], 80, 5, seconds=14)
        assert all("ConnectionRefused" in answer[0] for answer in answers), (spot.name, answers)


def outside(protocol: str, node: str, port: int, hosts: Hosts, times: int = CALLS) -> list[list[str]]:
    probe = Path(__file__).parent / "probe.py"
    done = run(sys.executable, probe, "call", protocol, hosts.address(node), str(port), str(times))
    assert done.returncode == 0, done.stderr
    answers: list[list[str]] = json.loads(done.stdout)
    return answers


def node_port(talk: dict[str, Any], name: str, protocol: str) -> int:
    port: int = next(p["nodePort"] for p in talk[name]["ports"] if p["protocol"] == protocol.upper())
    return port


@pytest.mark.parametrize("protocol", BY)
def test_from_outside_at_every_node(
    hosts: Hosts, talk: dict[str, Any], spots: list[Spot], protocol: str
) -> None:
    for node in NODES:
        answers = outside(protocol, node, node_port(talk, "door", protocol), hosts)
        assert {answer[-1] for answer in answers} == pods(spots), (node, answers)


@pytest.mark.parametrize("protocol", BY)
def test_local_traffic_keeps_its_source_and_other_nodes_stay_silent(
    hosts: Hosts, talk: dict[str, Any], spots: list[Spot], protocol: str
) -> None:
    port = node_port(talk, "near", protocol)
    assert outside(protocol, "node2", port, hosts, 10) == [[OUTSIDE, "node2-1"]] * 10
    for node in ("node1", "node3"):
        answers = outside(protocol, node, port, hosts, 2)
        assert all(len(answer) == 1 for answer in answers), (node, answers)


def test_names_by_the_search_path_of_pods(hosts: Hosts, talk: dict[str, Any], spots: list[Spot]) -> None:
    addresses = sorted(spot.address for spot in spots if spot.pid != 1)
    one = next(spot.address for spot in spots if spot.name == "node3-1")
    wanted = {
        "talk": [talk["talk"]["clusterIP"]],
        "talk.default": [talk["talk"]["clusterIP"]],
        f"talk.{DOMAIN}": [talk["talk"]["clusterIP"]],
        "kubernetes": [talk["kubernetes"]["clusterIP"]],
        "bare": addresses,
        "node3-1.bare": [one],
        "away": [talk["talk"]["clusterIP"]],
    }
    for spot in spots:
        if spot.pid != 1:
            assert hosts.probe(spot, "resolve", *wanted) == wanted, spot.name


def test_names_from_pods_and_nodes(hosts: Hosts, talk: dict[str, Any], spots: list[Spot]) -> None:
    addresses = {spot.name: spot.address for spot in spots if spot.pid != 1}
    pointer = ".".join(reversed(addresses["node2-1"].split("."))) + ".in-addr.arpa"
    wanted = {
        f"A/talk.{DOMAIN}": [talk["talk"]["clusterIP"]],
        f"A/bare.{DOMAIN}": sorted(addresses.values()),
        f"A/node2-1.bare.{DOMAIN}": [addresses["node2-1"]],
        f"SRV/_stream._tcp.talk.{DOMAIN}": [f"0 100 80 talk.{DOMAIN}"],
        f"SRV/_stream._tcp.bare.{DOMAIN}": sorted(f"0 100 7000 {name}.bare.{DOMAIN}" for name in addresses),
        f"PTR/{pointer}": [f"node2-1.bare.{DOMAIN}"],
        f"A/nobody-knows.{DOMAIN}": [],
    }
    for spot in spots:
        assert hosts.probe(spot, "dns", *wanted) == wanted, spot.name
