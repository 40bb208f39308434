# SPDX-License-Identifier: GPL-3.0-or-later
"""A node, pods and an outside host as network namespaces, with a process in each that serves and connects.

Nothing leads out of them: what no rule translates goes nowhere. The machine's own rules are never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
GATEWAY = "10.244.1.1"
NODE = "198.18.0.1"
OUTSIDE = "198.18.0.2"

#: Runs in each namespace: a JSON command a line in, a JSON answer a line out.
_AGENT = """
import json, socket, sys, threading

name = sys.argv[1]
held = {}

def tcp_server(port):
    server = socket.create_server(("0.0.0.0", port), backlog=128)
    def talk(conn, peer):
        with conn:
            conn.sendall(f"{name} {peer[0]}\\n".encode())
            while data := conn.recv(4096):
                conn.sendall(data)
    def accept():
        while True:
            threading.Thread(target=talk, args=server.accept(), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()

def udp_server(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    def answer():
        while True:
            data, peer = server.recvfrom(4096)
            server.sendto(f"{name} {peer[0]}".encode(), peer)
    threading.Thread(target=answer, daemon=True).start()

def line(conn):
    data = b""
    while not data.endswith(b"\\n"):
        more = conn.recv(4096)
        if not more:
            break
        data += more
    return data.decode().strip()

def once(to):
    try:
        with socket.create_connection(tuple(to), 2.0) as conn:
            conn.settimeout(10.0)
            return line(conn)
    except OSError as error:
        return type(error).__name__

def do(op, **given):
    if op == "serve":
        (tcp_server if given["protocol"] == "tcp" else udp_server)(given["port"])
        return "ok"
    if op == "tcp":
        return [once(given["to"]) for _ in range(given["times"])]
    if op == "open":
        conn = held[given["key"]] = socket.create_connection(tuple(given["to"]), 2.0)
        conn.settimeout(10.0)
        return line(conn)
    if op == "say":
        held[given["key"]].sendall(b"hello\\n")
        return line(held[given["key"]])
    if op == "udp":
        key = given["key"]
        if key not in held:
            held[key] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held[key].settimeout(5.0)
            held[key].connect(tuple(given["to"]))
        try:
            held[key].send(b"x")
            return held[key].recv(4096).decode()
        except OSError as error:
            return type(error).__name__

for text in sys.stdin:
    try:
        answer = do(**json.loads(text))
    except Exception as error:
        answer = type(error).__name__
    print(json.dumps(answer), flush=True)
"""


class Agent:
    """A process in a namespace."""

    def __init__(self, name: str, namespace: str, ip: str) -> None:
        self.name = name
        self.namespace = namespace
        self.ip = ip
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, "-c", _AGENT, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, **command: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def serve(self, protocol: str, port: int) -> None:
        assert self._ask(op="serve", protocol=protocol, port=port) == "ok"

    def tcp(self, ip: str, port: int, times: int = 1) -> list[str]:
        """ "SERVER CLIENT_ADDRESS" of each new connection, or the error's name."""
        return list(self._ask(op="tcp", to=[ip, port], times=times))

    def open(self, key: str, ip: str, port: int) -> str:
        return str(self._ask(op="open", key=key, to=[ip, port]))

    def say(self, key: str) -> str:
        return str(self._ask(op="say", key=key))

    def udp(self, key: str, ip: str, port: int) -> str:
        """A datagram of the socket of that key, and what answered it."""
        return str(self._ask(op="udp", key=key, to=[ip, port]))

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Ground:
    def __init__(self, bridge: str = "") -> None:
        self.bridge = bridge
        self.node = f"nvp-{WORKER}-node"
        self.agents: dict[str, Agent] = {}
        self._namespaces = [self.node]

    def build(self, pods: int) -> None:
        self._sh("ip", "netns", "add", self.node)
        self._in(self.node, "ip link set lo up")
        # A redirect told to a pod counts as its share of ICMP errors, and a refusal within a second is lost.
        for name in ("all", "default"):
            self._in(self.node, f"sysctl -qw net.ipv4.conf.{name}.send_redirects=0")
        self._host("outside", OUTSIDE, "24", f"via {NODE}", f"{NODE}/24")
        self._in(self.node, f"ip route add default via {OUTSIDE}")
        if self.bridge:
            self._in(
                self.node,
                f"ip link add {self.bridge} type bridge",
                f"ip addr add {GATEWAY}/24 dev {self.bridge}",
                f"ip link set {self.bridge} up",
            )
        for number in range(1, pods + 1):
            name, ip = f"pod{number}", f"10.244.1.{10 + number}"
            if self.bridge:
                self._host(name, ip, "24", f"via {GATEWAY}", "")
                self._in(
                    self.node,
                    f"ip link set {name} master {self.bridge}",
                    f"bridge link set dev {name} hairpin on",
                )
            else:
                self._host(name, ip, "32", f"via {GATEWAY}", f"{GATEWAY}/32")
                self._in(self.node, f"ip route add {ip} dev {name}")
        self._in(self.node, "sysctl -qw net.ipv4.ip_forward=1")
        self.agents["node"] = Agent("node", self.node, NODE)

    def __getitem__(self, name: str) -> Agent:
        return self.agents[name]

    @property
    def pid(self) -> int:
        return self.agents["node"].process.pid

    def nft(self, *arguments: str) -> str:
        command = ["ip", "netns", "exec", self.node, "nft", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def remove(self) -> None:
        for agent in self.agents.values():
            agent.end()
        for namespace in self._namespaces:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)

    def _host(self, name: str, ip: str, bits: str, via: str, gateway: str) -> None:
        namespace = f"nvp-{WORKER}-{name}"
        self._namespaces.append(namespace)
        self._sh("ip", "netns", "add", namespace)
        self._sh(
            *("ip", "link", "add", name, "netns", self.node, "type", "veth"),
            *("peer", "name", "eth0", "netns", namespace),
        )
        if gateway:
            self._in(self.node, f"ip addr add {gateway} dev {name}")
        self._in(self.node, f"ip link set {name} up")
        self._in(
            namespace,
            "ip link set lo up",
            "ip link set eth0 up",
            f"ip addr add {ip}/{bits} dev eth0",
            f"ip route replace {via.split()[1]}/32 dev eth0",
            f"ip route add default {via} dev eth0",
        )
        self.agents[name] = Agent(name, namespace, ip)

    def _in(self, namespace: str, *commands: str) -> None:
        for command in commands:
            self._sh("ip", "netns", "exec", namespace, *command.split())

    def _sh(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def ground(pods: int = 4, bridge: str = "") -> Iterator[Ground]:
    """bridge: its name when the pods are on one, as the CNI plugin has them; else each has its own link."""
    here = Ground(bridge)
    try:
        here.build(pods)
        yield here
    finally:
        here.remove()
