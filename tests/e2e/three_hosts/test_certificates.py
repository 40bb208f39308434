# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates on hosts whose master runs hardened: who signed what, and renewal while it runs."""

from __future__ import annotations

import json

from .conftest import NODES, Hosts, until

PYTHON = "/opt/navarch/venv/bin/python"
KUBELET = "/var/lib/navarch/kubelet/pki/kubelet"

#: Prints one more certificate that says what the given one says, of ca.crt, and its key. Its time began five
#: minutes ago and ends in so many seconds.
AGAIN = """
import datetime, json, sys
from pathlib import Path
from navarch import pki
folder = Path("/etc/navarch/pki")
old = pki.inspect(sys.stdin.buffer.read())
ca = pki.Pair((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
made = pki.issue(ca, old.common_name, organizations=old.organizations, names=old.names, usages=old.usages,
                 lifetime=datetime.timedelta(seconds=int(sys.argv[1])))
print(json.dumps([made.certificate.decode(), made.key.decode()]))
"""


def again(hosts: Hosts, certificate: str, seconds: int) -> tuple[str, str]:
    made = json.loads(hosts.on("node1", PYTHON, "-c", AGAIN, str(seconds), stdin=certificate))
    return made[0], made[1]


def put(hosts: Hosts, node: str, path: str, certificate: str, key: str) -> None:
    hosts.on(node, "sh", "-c", 'cat >"$0"', f"{path}.key", stdin=key)
    hosts.on(node, "sh", "-c", 'cat >"$0"', f"{path}.crt", stdin=certificate)


def issuer(hosts: Hosts, node: str) -> str:
    script = (
        "import sys; from cryptography import x509;"
        "print(x509.load_pem_x509_certificate(sys.stdin.buffer.read()).issuer.rfc4514_string())"
    )
    return hosts.on(node, PYTHON, "-c", script, stdin=hosts.on(node, "cat", f"{KUBELET}.crt")).strip()


def pods_containers(hosts: Hosts, node: str) -> set[str]:
    """Running containers and sandboxes of the node's pods. What earlier tests deleted may still be ending."""
    pods = [p["metadata"] for p in hosts.get("pods")["items"] if p["spec"].get("nodeName") == node]
    living = {meta["uid"] for meta in pods if not meta.get("deletionTimestamp")}
    shown = hosts.on(
        node, "docker", "ps", "--no-trunc", "--format", '{{.ID}} {{.Label "navarch.io/pod-uid"}}'
    )
    return {id for id, _, uid in (line.partition(" ") for line in shown.splitlines()) if uid in living}


def test_the_authority_of_kubelets_is_on_the_masters_machine_alone(hosts: Hosts) -> None:
    for node in NODES:
        found = hosts.on(node, "ls", "/etc/navarch/pki").split()
        assert ("kubelet-ca.crt" in found, "kubelet-ca.key" in found) == (node == "node1",) * 2
    for node in NODES:
        until(lambda node=node: issuer(hosts, node) == "CN=navarch-kubelet-ca", 60, f"certificate of {node}")


def test_the_master_renews_its_certificate_while_it_runs(hosts: Hosts) -> None:
    unit = ("systemctl", "show", "navarch-master", "--property=MainPID,NRestarts")
    before = hosts.on("node1", *unit)
    old, key = again(hosts, hosts.on("node1", "cat", "/etc/navarch/pki/apiserver.crt"), 120)
    put(hosts, "node1", "/etc/navarch/pki/apiserver", old, key)
    until(lambda: hosts.on("node1", "cat", "/etc/navarch/pki/apiserver.crt") != old, 90, "a new certificate")
    script = 'import ssl; print(ssl.get_server_certificate(("127.0.0.1", 6443)), end="")'
    until(
        lambda: (
            hosts.on("node1", PYTHON, "-c", script).split()
            == hosts.on("node1", "cat", "/etc/navarch/pki/apiserver.crt").split()
        ),
        90,
        "the new certificate in use",
    )
    assert hosts.on("node1", *unit) == before
    assert hosts.ready() == list(NODES)


def test_a_kubelet_of_a_cluster_of_before_moves_to_the_new_authority(hosts: Hosts) -> None:
    """No pod is restarted for it."""
    containers = pods_containers(hosts, "node2")
    assert containers
    old, key = again(hosts, hosts.on("node2", "cat", f"{KUBELET}.crt"), 3600 * 24 * 300)
    put(hosts, "node2", KUBELET, old, key)
    assert issuer(hosts, "node2") == "CN=navarch-ca"
    hosts.on("node2", "systemctl", "restart", "navarch-kubelet")
    until(lambda: issuer(hosts, "node2") == "CN=navarch-kubelet-ca", 60, "a certificate of the new authority")
    pod = next(p for p in hosts.get("pods")["items"] if p["spec"]["nodeName"] == "node2")
    until(lambda: hosts.kubectl("logs", pod["metadata"]["name"], "--tail=1") is not None, 30, "logs")
    assert pods_containers(hosts, "node2") == containers
