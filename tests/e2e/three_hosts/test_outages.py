# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on, what moves and what comes back when hosts, kubelets or the master are away for a while."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .conftest import NAME, NODES, SUBNET, Hosts, Spot, container, pod, run, until

#: Pods of a node that is lost are replaced after so many seconds.
TOLERATION = 3
LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
MASTER_CONFIG = "/etc/navarch/master.yaml"


def tolerations(**more: Any) -> list[dict[str, Any]]:
    return [{"key": key, "operator": "Exists", "effect": "NoExecute", **more} for key in LOST]


def service(name: str, port: int, app: str = "") -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": port}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app or name}, "ports": ports},
    }


@pytest.fixture(scope="module")
def moving(hosts: Hosts) -> Iterator[str]:
    """The address of a service of four replicas that say their names; with `stays`, which bears all."""
    main = {
        **container("/bin/busybox", "nc", "-ll", "-p", "7001", "-e", "/bin/busybox", "hostname"),
        "resources": {"requests": {"cpu": "100m"}},
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "tolerations": tolerations(tolerationSeconds=TOLERATION),
        "containers": [main],
    }
    labels = {"app": "moving"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    controller = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "moving"},
        "spec": {"replicas": 4, "selector": labels, "template": template},
    }
    until(lambda: hosts.untainted() == list(NODES), 60, "three nodes that take pods")
    hosts.apply(
        controller,
        service("moving", 7001),
        service("talk", 7000),
        pod("stays", "node3", tolerations=tolerations()),
    )
    try:
        until(lambda: settled(hosts), 120, "four replicas")
        yield hosts.get("service", "moving")["spec"]["clusterIP"]
    finally:
        hosts.kubectl("delete", "replicationcontroller/moving", "service/moving", "service/talk", "pod/stays")
        until(lambda: not replicas(hosts), 120, "the replicas are gone")


def replicas(hosts: Hosts) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = hosts.get("pods", "-l", "app=moving")["items"]
    return items


def whole(pod: dict[str, Any]) -> bool:
    """It runs, is ready, and is not on its way out."""
    ready = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}.get("Ready")
    return ready == "True" and "deletionTimestamp" not in pod["metadata"]


def settled(hosts: Hosts) -> bool:
    """All pods are whole, four of them replicas, and what runs on the hosts is what the API tells of."""
    pods = hosts.get("pods", "-A")["items"]
    told = sorted((p["spec"]["nodeName"], p["metadata"]["uid"]) for p in pods)
    return all(map(whole, pods)) and len(replicas(hosts)) == 4 and sandboxes(hosts) == told


def running(hosts: Hosts, node: str) -> dict[str, tuple[str, str]]:
    """By the id of each container of a pod: the pod's uid, and the container's name or the sandbox's role."""
    form = '{{.ID}} {{.Label "navarch.io/pod-uid"}} {{.Names}}'
    listing = hosts.on(node, "docker", "ps", "--no-trunc", "--format", form)
    rows = [line.split() for line in listing.splitlines()]
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}


def sandboxes(hosts: Hosts) -> list[tuple[str, str]]:
    return sorted({(node, uid) for node in NODES for uid, _ in running(hosts, node).values()})


def everything(hosts: Hosts) -> dict[str, tuple[str, str]]:
    return {id: what for node in NODES for id, what in running(hosts, node).items()}


def names(hosts: Hosts, address: str, askers: list[Spot] | None = None) -> set[str]:
    """Who answers for a service, from a pod and from a node; nobody fails to."""
    askers = askers or [spot for spot in hosts.spots("vxlan") if spot.name in ("node1-1", "node1")]
    answers = [answer for spot in askers for answer in hosts.probe(spot, "call", "hail", address, 80, 40)]
    assert all(len(answer) == 1 and " " not in answer[0] for answer in answers), answers
    return {answer[0] for answer in answers}


@contextmanager
def cut_off(hosts: Hosts, node: str) -> Iterator[float]:
    """The time at which a host lost its network; at the end it has it again."""
    address = hosts.address(node)
    container = f"{NAME}-{node[4:]}"
    assert run("docker", "network", "disconnect", NAME, container).returncode == 0
    try:
        yield time.monotonic()
    finally:
        assert run("docker", "network", "connect", "--ip", address, NAME, container).returncode == 0


def rules(hosts: Hosts, node: str) -> str:
    return hosts.on(node, "nft", "list", "table", "ip", "navarch_services")


def left_services(hosts: Hosts, gone: set[str], since: float, within: float) -> float:
    """How long it took until no rule of the other nodes knew the addresses."""
    looked = since

    def unknown() -> bool:
        nonlocal looked
        looked = time.monotonic()  # looking itself takes long on a slow machine
        known = rules(hosts, "node1") + rules(hosts, "node2")
        return not any(re.search(rf"\b{re.escape(address)}\b", known) for address in gone)

    until(unknown, within + 20, "the lost pods have left the services")
    took = looked - since
    # Time in which the master did not run is nobody's silence, and it says so.
    began = f"--since=-{time.monotonic() - since:.0f}s"
    told = hosts.on("node1", "journalctl", "-q", "-u", "navarch-master", began)
    stalled = sum(map(float, re.findall(r"did not run for ([\d.]+) s", told)))
    assert took <= within + stalled, f"{took:.1f} s, of which the master did not run for {stalled:.1f} s"
    return took


def on(node: str, pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [pod for pod in pods if pod["spec"]["nodeName"] == node]


def starts(pod: dict[str, Any]) -> int:
    count: int = pod["status"]["containerStatuses"][0]["restartCount"]
    return count


def test_a_host_cut_off_loses_its_pods_to_the_others_and_comes_back(hosts: Hosts, moving: str) -> None:
    lost = on("node3", replicas(hosts))
    assert lost, f"no replica is on node3: {hosts.story()}"
    gone = {pod["status"]["podIP"] for pod in lost}
    stays = {id for id, (_, name) in running(hosts, "node3").items() if "stays" in name}
    assert len(stays) == 2
    with cut_off(hosts, "node3") as since:
        took = left_services(hosts, gone, since, 40)
        print(f"a lost host's addresses left the services after {took:.1f} s, by the default of 40 s")
        # A replica that comes is ready with its container; the server in it comes a moment later.
        until(lambda: names(hosts, moving), 30, "those that are left answer")

        def replaced() -> bool:
            found = [pod for pod in replicas(hosts) if whole(pod)]
            return len(found) == 4 and not on("node3", found)

        until(replaced, TOLERATION + 60, "the replicas are replaced")
        until(lambda: len(names(hosts, moving)) == 4, 30, "all four answer")
        kept = hosts.get("pod", "stays")["metadata"]
        assert "deletionTimestamp" not in kept
        assert "deletionTimestamp" not in hosts.get("pod", "node3-1")["metadata"]
    until(lambda: len(hosts.ready()) == 3, 90, "three ready nodes")
    until(lambda: settled(hosts), 120, "no pod doubled, none left over")
    assert hosts.get("pod", "stays")["metadata"]["uid"] == kept["uid"]
    assert stays <= set(running(hosts, "node3"))

    def forgotten() -> bool:
        for node in NODES:
            left = (
                hosts.on(node, "nft", "list", "ruleset")
                + hosts.on(node, "ip", "route")
                + hosts.on(node, "ip", "neigh")
            )
            found = [address for address in gone if f"{address} " in left]
            assert not found, f"{node}: {found}"
        return True

    until(forgotten, 60, "no node knows the lost addresses")
    until(lambda: hosts.every_pair("vxlan"), 90, "every pair")


def test_a_host_cut_off_leaves_the_services_sooner_when_so_configured(hosts: Hosts, moving: str) -> None:
    def grace(seconds: int) -> None:
        change = f"s/^nodeMonitorGracePeriod:.*/nodeMonitorGracePeriod: {seconds}s/"
        hosts.on("node1", "sed", "-i", change, MASTER_CONFIG)
        hosts.on("node1", "systemctl", "restart", "navarch-master")
        # The nodes hear the master's news again: one that tries anew may wait ten seconds before.
        hosts.apply(service("news", 7000, "talk"))
        address = hosts.get("service", "news")["spec"]["clusterIP"]
        until(lambda: all(address in rules(hosts, node) for node in NODES), 60, "the nodes hear of a service")
        hosts.kubectl("delete", "service", "news")

    grace(25)
    try:
        gone = {hosts.get("pod", "node3-1")["status"]["podIP"]}
        with cut_off(hosts, "node3") as since:
            took = left_services(hosts, gone, since, 25)
            print(f"a lost host's addresses left the services after {took:.1f} s, as configured 25 s")
    finally:
        grace(40)
    until(lambda: settled(hosts), 120, "all pods are back")


def test_a_host_rebooted_with_another_address(hosts: Hosts, moving: str) -> None:
    old = hosts.address("node2")
    new = SUBNET.partition("0/")[0] + ("98" if old.endswith(".99") else "99")
    before = hosts.get("pod", "node2-1")
    counts = {pod["metadata"]["uid"]: starts(pod) for pod in on("node2", hosts.get("pods")["items"])}
    hosts.silence()
    assert run("docker", "network", "disconnect", NAME, f"{NAME}-2").returncode == 0
    assert run("docker", "network", "connect", "--ip", new, NAME, f"{NAME}-2").returncode == 0
    assert run("docker", "restart", f"{NAME}-2").returncode == 0
    hosts.write_inventory()

    def back() -> bool:
        node = hosts.get("node", "node2")
        return any(a["address"] == new for a in node["status"]["addresses"])

    def told() -> bool:
        pods = on("node2", hosts.get("pods")["items"])
        return all(starts(pod) > counts.get(pod["metadata"]["uid"], -1) for pod in pods)

    until(back, 90, "node2 has its new address")
    until(lambda: len(hosts.ready()) == 3, 90, "three ready nodes")
    until(told, 90, "the restarts are told")
    until(lambda: settled(hosts), 120, "pods run")
    pods = hosts.get("pods")["items"]
    after = hosts.get("pod", "node2-1")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert starts(after) == starts(before) + 1
    assert len({pod["status"]["podIP"] for pod in pods}) == len(pods)
    until(lambda: hosts.every_pair("vxlan"), 90, "every pair")
    until(lambda: len(names(hosts, moving)) == 4, 30, "all four answer")
    for node in ("node1", "node3"):
        assert old not in hosts.on(node, "bridge", "fdb", "show", "dev", "navarch-vx")


@contextmanager
def load(hosts: Hosts, seconds: int) -> Iterator[None]:
    """A pod on every node asks DNS for a service and connects to it, over and over; nobody fails."""
    spots = hosts.spots("vxlan")
    hosts.serve(spots)
    ask = ("load", "talk.default.svc.cluster.local", "80", str(seconds))
    askers = [spot for spot in spots if spot.name in ("node1-1", "node2-1", "node3-1")]
    running = [subprocess.Popen(hosts.at(spot, *ask), stdout=subprocess.PIPE, text=True) for spot in askers]
    try:
        yield
        for spot, process in zip(askers, running, strict=True):
            out, _ = process.communicate(timeout=seconds + 30)
            result = json.loads(out)
            print(f"{spot.name}: {result['turns']} turns, the longest took {result['longest']:.2f} s")
            assert not result["failures"], f"{spot.name}: {result['failures']}: {hosts.story()}"
            assert result["turns"] > 5
    finally:
        for process in running:
            process.kill()
            process.wait()
        hosts.silence()


def test_every_kubelet_restarts_under_load_and_no_request_fails(hosts: Hosts, moving: str) -> None:
    before = everything(hosts)
    with load(hosts, 20):
        for node in NODES:
            hosts.on(node, "systemctl", "restart", "navarch-kubelet")
            until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")
    assert everything(hosts) == before


def test_pods_outlive_a_restart_of_the_engine(hosts: Hosts, moving: str) -> None:
    hosts.on("node3", "mkdir", "-p", "/etc/docker")
    hosts.on("node3", "tee", "/etc/docker/daemon.json", stdin='{"live-restore": true}')
    hosts.on("node3", "systemctl", "reload", "docker")  # which only tells it to
    keeps = ("docker", "info", "-f", "{{.LiveRestoreEnabled}}")
    until(lambda: hosts.on("node3", *keeps).strip() == "true", 30, "the Engine keeps what runs")
    before = running(hosts, "node3")
    hosts.on("node3", "systemctl", "restart", "docker")
    assert running(hosts, "node3") == before
    # A node whose Engine is away for more than ten seconds has left the services until it is back.
    until(lambda: len(names(hosts, moving)) == 4, 60, "all four answer")
    # The kubelet follows the Engine's news again: it hears of a container that ends.
    chosen = hosts.get("pod", "node3-1")
    uid = chosen["metadata"]["uid"]
    hosts.on(
        "node3",
        "docker",
        "kill",
        *(id for id, what in before.items() if what[0] == uid and "POD" not in what[1]),
    )

    def again() -> bool:
        found = hosts.get("pod", chosen["metadata"]["name"])
        return starts(found) == starts(chosen) + 1 and whole(found)

    until(again, 60, "its kubelet starts it again")
    until(lambda: settled(hosts), 120, "all is in step")
    assert {id for id, what in before.items() if what[0] != uid} <= set(running(hosts, "node3"))


def test_the_master_away_for_a_minute(hosts: Hosts, moving: str) -> None:
    chosen = hosts.get("pod", "stays")
    victim = chosen["metadata"]
    askers = [spot for spot in hosts.spots("vxlan") if spot.name in ("node1-1", "node1")]
    before = everything(hosts)
    killed = {id for id, (uid, name) in before.items() if uid == victim["uid"] and "POD" not in name}
    assert len(killed) == 1, killed
    with load(hosts, 60):
        end = time.monotonic() + 60
        hosts.on("node1", "systemctl", "stop", "navarch-master")
        try:
            hosts.on("node3", "docker", "kill", *killed)

            def again() -> bool:
                return len([1 for uid, _ in running(hosts, "node3").values() if uid == victim["uid"]]) == 2

            until(again, 40, "its kubelet starts it again")
            assert len(names(hosts, moving, askers)) == 4
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            hosts.on("node1", "systemctl", "start", "navarch-master")
    # The master that is back knows what it knew; the kubelet tells it what happened meanwhile.
    until(lambda: starts(hosts.get("pod", victim["name"])) == starts(chosen) + 1, 60, "the restart is told")
    until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")
    until(lambda: settled(hosts), 120, "all is in step")
    after = everything(hosts)
    assert set(before) - set(after) == killed
    assert len(after) == len(before)
