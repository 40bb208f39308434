# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside firewalld, ufw and rules of one's own in the legacy tables, all of them strict: all that a cluster
needs works, before and after they and the Engine start anew."""

from __future__ import annotations

import http.server
import json
import os
import shlex
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .conftest import IMAGE, NODES, Hosts, run, until

pytestmark = pytest.mark.skipif(
    not os.environ.get("NAVARCH_FIREWALLS"), reason="takes minutes: set NAVARCH_FIREWALLS=1 to run it"
)

NODE_PORT = 30777
HOST_PORT = 8099
HEALTH_PORT = 30778

_INSTALL = """
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get update -q
apt-get install -q -y --no-install-recommends firewalld polkitd ufw
rm /usr/sbin/policy-rc.d
systemctl reload dbus
systemctl disable --now firewalld
"""

#: Fetches pages, resolving names by the node's DNS as a pod does; prints what it got, by the URL.
_FETCH = """
import json, secrets, socket, struct, sys, urllib.parse, urllib.request
def resolve(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + bytes(1)
    query = secrets.token_bytes(2) + struct.pack("!5H", 0x100, 1, 0, 0, 0) + labels + struct.pack("!2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(4)
        sock.sendto(query, ("169.254.20.10", 53))
        answer = sock.recv(4096)
    return socket.inet_ntoa(answer[-4:])
def fetch(url):
    parts = urllib.parse.urlsplit(url)
    try:
        host = resolve(parts.hostname) if parts.hostname.endswith(".local") else parts.hostname
        if parts.scheme == "tcp":
            socket.create_connection((host, parts.port), 4).close()
            return "open"
        with urllib.request.urlopen(f"http://{host}:{parts.port or 80}{parts.path}", timeout=4) as page:
            return page.read().decode().strip()
    except OSError as error:
        return str(error)
print(json.dumps({url: fetch(url) for url in sys.argv[1:]}))
"""

#: What a careful administrator has: everything shut but SSH and the ports that the kubelet role's page names.
_OWN_RULES = """
for rule in "-i lo" "-m conntrack --ctstate ESTABLISHED,RELATED" "-p icmp" \\
    "-p tcp -m multiport --dports 22,6443,10250" "-p udp --dport 8472"
do
    iptables -w -A INPUT $rule -j ACCEPT
done
iptables -w -P INPUT DROP
iptables -w -P FORWARD DROP
"""
_TABLES = ("iptables", "ip6tables")

#: Switching a firewall on and off, and what an administrator does to it in between.
FIREWALLS = {
    "firewalld": (
        ["systemctl start firewalld", "firewall-cmd --state"],
        ["firewall-cmd --reload", "systemctl restart firewalld", "systemctl restart docker"],
        ["systemctl stop firewalld"],
    ),
    "firewalld-iptables": (
        [
            "sed -i s/^FirewallBackend=.*/FirewallBackend=iptables/ /etc/firewalld/firewalld.conf",
            "systemctl start firewalld",
            "firewall-cmd --state",
        ],
        ["firewall-cmd --reload", "systemctl restart firewalld"],
        [
            "systemctl stop firewalld",
            "sed -i s/^FirewallBackend=.*/FirewallBackend=nftables/ /etc/firewalld/firewalld.conf",
        ],
    ),
    "ufw": (
        ["ufw default deny incoming", "ufw default deny routed", "ufw allow 22/tcp", "ufw --force enable"],
        [
            "ufw reload",
            "systemctl restart docker",
            "sh -c 'nft delete table ip navarch; nft delete table ip navarch_services'",
        ],
        ["ufw --force disable", "ufw delete allow 22/tcp"],
    ),
    "iptables-legacy": (
        [
            *(f"update-alternatives --set {program} /usr/sbin/{program}-legacy" for program in _TABLES),
            "systemctl restart docker",
            f"sh -ec {shlex.quote(_OWN_RULES)}",
        ],
        [
            "systemctl restart docker",
            f"sh -ec {shlex.quote('iptables -w -F INPUT; iptables -w -F FORWARD' + _OWN_RULES)}",
        ],
        [
            *(f"iptables-legacy {what}" for what in ("-P INPUT ACCEPT", "-F INPUT", "-P FORWARD ACCEPT")),
            *(f"update-alternatives --set {program} /usr/sbin/{program}-nft" for program in _TABLES),
            "systemctl restart docker",
        ],
    ),
}


class Witness(http.server.BaseHTTPRequestHandler):
    """Answers with the address that it was asked from."""

    def do_GET(self) -> None:
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def outside(hosts: Hosts) -> Iterator[str]:
    """A server on this machine, which to the hosts is the world outside. Yields its address and port."""
    address = hosts.address("node1").rpartition(".")[0] + ".1"
    with socketserver.ThreadingTCPServer((address, 0), Witness) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{address}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def web(node: str) -> dict[str, Any]:
    serve = f"echo {node} >/page; exec busybox httpd -f -p 8080 -h /"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"web-{node}", "labels": {"app": "web"}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": IMAGE,
                    "imagePullPolicy": "Never",
                    "command": ["sh", "-c", serve],
                    "ports": [{"containerPort": 8080, "hostPort": HOST_PORT}],
                }
            ],
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {
        "type": "NodePort",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}],
    },
}


#: For a balancer before the nodes, which asks each of them how it is.
BALANCED = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "balanced"},
    "spec": {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": HEALTH_PORT,
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 8080}],
    },
}
HEALTHY = {
    "service": {"namespace": "default", "name": "balanced"},
    "localEndpoints": 1,
    "serviceProxyHealthy": True,
}


@pytest.fixture(scope="module")
def webs(hosts: Hosts) -> Iterator[None]:
    """A web server on each node, a service and host ports that lead to them."""
    items = [*(web(node) for node in NODES), SERVICE, BALANCED]
    listing = {"apiVersion": "v1", "kind": "List", "items": items}
    hosts.kubectl("apply", "-f", "-", stdin=json.dumps(listing))
    hosts.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=web", "--timeout=60s")
    yield
    hosts.kubectl("delete", "pod,service", "-l", "app=web")
    hosts.kubectl("delete", "service", "web", "balanced", "--ignore-not-found")


def everything_works(hosts: Hosts, world: str) -> bool:
    """What a cluster needs of its hosts' firewalls. Fails with the first thing that does not work."""
    pods = hosts.get("pods", "-l", "app=web")["items"]
    webs = {pod["spec"]["nodeName"]: pod["status"]["podIP"] for pod in pods}
    cluster_ip = hosts.get("service", "web")["spec"]["clusterIP"]
    pages = {f"http://{ip}:8080/page": [node] for node, ip in webs.items()}
    from_outside = {
        f"http://{hosts.address(node)}:{port}/page": [node] if port == HOST_PORT else list(webs)
        for node in NODES
        for port in (NODE_PORT, HOST_PORT)
    }
    healthy = [json.dumps(HEALTHY, indent=1)]
    from_outside |= {f"http://{hosts.address(node)}:{HEALTH_PORT}/": healthy for node in NODES}
    for node in NODES:
        asks = {
            **pages,
            **from_outside,
            "http://web.default.svc.cluster.local/page": list(webs),
            f"http://{cluster_ip}/page": list(webs),
            "tcp://kubernetes.default.svc.cluster.local:443": ["open"],
            f"http://{world}/": [hosts.address(node)],
        }
        labelled = ("-f", f"name=navarch_POD_web-{node}_")
        running = hosts.on(node, "docker", "ps", "-q", *labelled).split()
        assert running, f"the pod of {node} does not run"
        pid = hosts.on(node, "docker", "inspect", "-f", "{{.State.Pid}}", running[0]).strip()
        inside = ("nsenter", "-t", pid, "-n")
        answers = json.loads(hosts.on(node, *inside, "python3", "-c", _FETCH, *asks))
        _compare(f"in the pod of {node}", asks, answers)
        _compare(f"on {node}", pages, json.loads(hosts.on(node, "python3", "-c", _FETCH, *pages)))
        assert hosts.kubectl("exec", f"web-{node}", "--", "sh", "-c", "echo here") == "here\n"
    seen = json.loads(run("python3", "-c", _FETCH, *from_outside).stdout)
    _compare("from outside", from_outside, seen)
    return True


def _compare(where: str, asks: dict[str, list[str]], answers: dict[str, str]) -> None:
    for url, good in asks.items():
        assert answers[url] in good, f"{where}: {url}: {answers[url]}"


@pytest.mark.parametrize("name", FIREWALLS)
def test_a_strict_firewall_lets_the_cluster_work(hosts: Hosts, webs: None, name: str) -> None:
    on, meanwhile, off = FIREWALLS[name]
    for node in NODES:
        hosts.on(node, "sh", "-c", f"[ -x /usr/sbin/ufw ] || {{ {_INSTALL} }}", seconds=300)
    try:
        for node in NODES:
            for command in on:
                hosts.on(node, *shlex.split(command), seconds=120)
        first = hosts.playbook("site", "--tags", "firewall")
        assert "failed=0" in first
        second = hosts.playbook("site", "--tags", "firewall")
        assert second.count("changed=0") == len(NODES), second[-1000:]
        with outside(hosts) as world:
            until(lambda: everything_works(hosts, world), 60, f"everything works beside {name}")
            for command in meanwhile:
                for node in NODES:
                    hosts.on(node, *shlex.split(command), seconds=120)
                until(lambda: everything_works(hosts, world), 60, f"everything works after {command}")
    finally:
        for node in NODES:
            for command in off:
                hosts.on(node, *shlex.split(command), seconds=120)
