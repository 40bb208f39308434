# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Frames and the remote command protocol, against a server on loopback that misbehaves as it is told to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
from urllib.parse import parse_qsl, urlsplit

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api import websocket
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import (
    ClusterError,
    OptionError,
    StatusError,
    UnreachableError,
)
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import Connection
from ansible_collections.navarch.cluster.plugins.module_utils._pods import streaming

TARGET = streaming.Target("default", "web")
SUCCESS = b'\x03{"status":"Success"}'


def frame(data, opcode=2, final=True):
    size = len(data)
    head = bytes(((0x80 if final else 0) | opcode,))
    if size < 126:
        return head + bytes((size,)) + data
    if size < 65536:
        return head + struct.pack(">BH", 126, size) + data
    return head + struct.pack(">BQ", 127, size) + data


def read_frame(file):
    """(opcode, data) of one frame, which must be masked."""
    first, second = file.read(2)
    assert second & 0x80, "a client masks its frames"
    size = second & 0x7F
    if size >= 126:
        size = struct.unpack(">H", file.read(2))[0] if size == 126 else struct.unpack(">Q", file.read(8))[0]
    mask = file.read(4)
    return first & 15, bytes(byte ^ mask[place % 4] for place, byte in enumerate(file.read(size)))


class Server:
    """Each connection is answered by the next of ``answers``: bytes, or what to do after the upgrade."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.heads = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def query(self, number=-1):
        return parse_qsl(urlsplit(self.heads[number].split()[1]).query)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self):
        while self.answers:
            try:
                sock, _address = self._listener.accept()
            except OSError:
                return
            sock.settimeout(10)
            with sock, sock.makefile("rb") as file, contextlib.suppress(OSError, ValueError):
                self._one(sock, file)

    def _one(self, sock, file):
        lines = []
        while (line := file.readline().decode().strip()) != "":
            lines.append(line)
        self.heads.append("\n".join(lines))
        answer = self.answers.pop(0)
        if isinstance(answer, bytes):
            sock.sendall(answer)
            return
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        digest = hashlib.sha1(headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        sock.sendall(
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n"
                % (base64.b64encode(digest.digest()).decode(), headers["sec-websocket-protocol"])
            ).encode()
        )
        answer(sock, file)


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:

        def start(*answers):
            server = Server(answers)
            stack.callback(server.close)
            client = Client(Connection(server.url, token="t0ken"))
            stack.callback(client.close)
            return server, client

        yield start


def http(code, body, kind="application/json"):
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    head = "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return (head % (code, kind, len(data))).encode() + data


def status(code, reason, message):
    return http(code, {"kind": "Status", "code": code, "reason": reason, "message": message})


def test_output_in_pieces_and_fragments_and_pings(serve):
    def talk(sock, file):
        sock.sendall(frame(b"\x01one ") + frame(b"\x02er", final=False) + frame(b"hello", opcode=9))
        sock.sendall(frame(b"r", opcode=0) + frame(b"\x01" + b"x" * 70000) + frame(b"\x01"))
        assert read_frame(file) == (10, b"hello")
        whole = frame(SUCCESS)
        sock.sendall(whole[:5])
        sock.sendall(whole[5:] + frame(struct.pack(">H", 1000), opcode=8))

    server, client = serve(talk)
    outcome = streaming.run(client, TARGET, ["a", "b&c"])
    assert outcome == streaming.Outcome(0, b"one " + b"x" * 70000, b"err")
    assert server.query() == [("command", "a"), ("command", "b&c"), ("stdout", "true"), ("stderr", "true")]
    assert "Authorization: Bearer t0ken" in server.heads[0]
    assert "Sec-WebSocket-Protocol: v5.channel.k8s.io" in server.heads[0]


@pytest.mark.parametrize("data", [b"", b"abc", bytes(range(256)) * 2000], ids=["none", "little", "much"])
def test_standard_input_and_its_end(serve, data):
    def talk(sock, file):
        got = b""
        while (message := read_frame(file)[1])[:1] == b"\0":
            got += message[1:]
        assert message == b"\xff\x00"
        sock.sendall(frame(b"\x01" + str(got == data).encode()) + frame(SUCCESS))

    server, client = serve(talk)
    assert streaming.run(client, TARGET, ["cat"], data).out == b"True"
    assert ("stdin", "true") in server.query()


def test_both_directions_at_once_do_not_lock(serve):
    def talk(sock, file):
        sent = 0
        while (message := read_frame(file)[1])[:1] == b"\0":
            sock.sendall(frame(b"\x01" + message[1:]))
            sent += len(message) - 1
        sock.sendall(frame(SUCCESS))

    _server, client = serve(talk)
    data = b"0123456789abcdef" * 200_000
    assert streaming.run(client, TARGET, ["cat"], data).out == data


def test_an_older_cluster_counts_standard_input(serve):
    refusal = http(403, "requested protocol(s) are not supported", "text/plain")

    def talk(sock, file):
        assert read_frame(file)[1] == b"\0hello"
        sock.sendall(frame(SUCCESS))

    server, client = serve(refusal, talk)
    assert streaming.run(client, TARGET, ["wc", "-c"], b"hello").code == 0
    words = [value for name, value in server.query() if name == "command"]
    assert words == ["sh", "-c", 'head -c "$0" | "$@"', "5", "wc", "-c"]
    assert "Sec-WebSocket-Protocol: v4.channel.k8s.io" in server.heads[1]


def ending(body):
    return lambda sock, file: sock.sendall(frame(b"\x03" + json.dumps(body).encode()))


def test_exit_codes_and_commands_that_cannot_run(serve):
    causes = {"causes": [{"reason": "ExitCode", "message": "42"}]}
    failed = {"status": "Failure", "reason": "NonZeroExitCode", "details": causes}
    unable = {"status": "Failure", "reason": "InternalError", "message": "no\nsuch program"}
    _server, client = serve(ending(failed), ending(unable), ending([]), ending({"reason": "NonZeroExitCode"}))
    assert streaming.run(client, TARGET, ["x"]).code == 42
    with pytest.raises(streaming.NotStarted, match="could not be run in pod default/web: no such program"):
        streaming.run(client, TARGET, ["x"])
    for _body in range(2):
        with pytest.raises(ClusterError, match="no known way"):
            streaming.run(client, TARGET, ["x"])


def test_a_connection_that_breaks_is_told(serve):
    bad = [
        lambda sock, file: None,
        lambda sock, file: sock.sendall(frame(b"", opcode=8)),
        lambda sock, file: sock.sendall(b"\xf2\x00"),
        lambda sock, file: sock.sendall(b"\x82\x7f" + struct.pack(">Q", websocket.MESSAGE_LIMIT + 1)),
        lambda sock, file: sock.sendall(frame(b"x", opcode=0)),
        lambda sock, file: sock.sendall(frame(b"x", opcode=5)),
    ]
    _server, client = serve(*bad)
    for _each in bad:
        with pytest.raises(UnreachableError, match=r"broke before the command's end .*: whether it ended"):
            streaming.run(client, TARGET, ["x"])


def test_a_command_that_takes_too_long(serve):
    _server, client = serve(lambda sock, file: file.read())
    with pytest.raises(streaming.CommandTimeout, match=r"timeout: .*it may still run"):
        streaming.run(client, TARGET, ["x"], timeout=0.2)


POD = {"metadata": {"name": "web"}, "spec": {"nodeName": "n1", "containers": [{"name": "a"}]}}


def test_refusals_are_explained_by_the_pod(serve):
    def running(**more):
        state = {"containerStatuses": [{"name": "a", "state": {"running": {}}}]}
        return http(200, dict(POD, status=dict(state, **more)))

    for refusal, pod, kind, words in (
        (status(401, "Unauthorized", "no"), None, StatusError, "401 Unauthorized"),
        (status(403, "Forbidden", "may not"), None, StatusError, "403 Forbidden.*may not"),
        (status(404, "NotFound", "x"), status(404, "NotFound", "x"), OptionError, "name: there is no pod"),
        (
            status(500, "InternalError", "dial"),
            running(),
            UnreachableError,
            "node n1.*cannot be reached: dial",
        ),
        (status(400, "BadRequest", "x"), running(phase="Failed"), ClusterError, "has ended"),
        (status(400, "BadRequest", "x"), http(200, POD), ClusterError, "has not been started yet"),
        (status(400, "BadRequest", "what"), running(), StatusError, "what"),
    ):
        _server, client = serve(refusal, *([pod] if pod else []))
        with pytest.raises(kind, match=words):
            streaming.run(client, TARGET, ["x"])


def test_what_is_no_websocket_is_told(serve):
    version = http(200, {"major": "1"})
    _server, client = serve(version, b"nonsense\r\n\r\n", version)
    with pytest.raises(UnreachableError, match="answers 200 to a WebSocket"):
        streaming.run(client, TARGET, ["x"])
    with pytest.raises(UnreachableError, match=r"cannot open a stream .*is not HTTP"):
        streaming.run(client, TARGET, ["x"])


def test_nobody_there():
    client = Client(Connection("http://127.0.0.1:1"))
    with pytest.raises(UnreachableError, match=r"cannot reach the cluster at http://127.0.0.1:1"):
        streaming.run(client, TARGET, ["x"])


def test_a_proxy_is_asked_for_a_tunnel():
    seen = []
    listener = socket.create_server(("127.0.0.1", 0))

    def proxy():
        sock, _address = listener.accept()
        with sock, sock.makefile("rb") as file:
            while (line := file.readline().strip()) != b"":
                seen.append(line.decode())
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while file.readline().strip() != b"":
                pass
            sock.sendall(status(403, "Forbidden", "through the proxy"))

    thread = threading.Thread(target=proxy, daemon=True)
    thread.start()
    address = "http://u:p@127.0.0.1:%d" % listener.getsockname()[1]
    client = Client(Connection("http://cluster.test:6443", proxy=address))
    try:
        with pytest.raises(StatusError, match="through the proxy"):
            streaming.run(client, TARGET, ["x"])
    finally:
        thread.join(5)
        listener.close()
    assert seen[0].startswith("CONNECT cluster.test:6443 HTTP/1.")
    assert "Proxy-Authorization: Basic dTpw" in seen
