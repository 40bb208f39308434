# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubectl does with a pod's streams: port-forward, attach, terminals; and input that nobody reads."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import urllib.request
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubelet_support import PATIENCE, SERVES, Cluster, Pods, sleeper

from navarch.kubelet.server import spdy, streams

pytestmark = [pytest.mark.docker, pytest.mark.root]
SERVE = "mkdir -p /www; echo inside > /www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www"


def kubectl() -> str:
    found = shutil.which(
        "kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if found is None:
        assert not os.environ.get("CI"), "kubectl is missing: nothing would be proven"
        pytest.skip("needs kubectl")
    return found


@asynccontextmanager
async def running(cluster: Cluster, pods: Pods, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(kubectl(), "--kubeconfig", str(cluster.admin), "-n", pods.namespace, *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(cluster: Cluster, pods: Pods, *words: str, stdin: bytes = b"") -> tuple[int, str]:
    async with running(cluster, pods, *words) as process, asyncio.timeout(30):
        out, _ = await process.communicate(stdin)
        assert process.returncode is not None
        return process.returncode, out.decode()


def get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return bytes(answer.read())


async def test_port_forward(cluster: Cluster, pods: Pods) -> None:
    """Several connections at a time by one tunnel. That nobody listens is told, after which kubectl ends."""
    await pods.create("web", {"name": "a", "command": ["sh", "-c", SERVE], "readinessProbe": SERVES})
    await pods.running("web")
    large = "sh", "-c", "head -c 5000000 /dev/zero > /www/large"
    assert (await said(cluster, pods, "exec", "web", "--", "busybox", *large))[0] == 0
    async with running(cluster, pods, "port-forward", "pod/web", ":8080", ":9", "--v=0") as process:
        assert process.stdout is not None
        found: dict[str, int] = {}
        async with asyncio.timeout(PATIENCE):
            while len(found) < 2:
                line = (await process.stdout.readline()).decode()
                assert line, "port-forward ended"
                if match := re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)", line):
                    found[match.group(2)] = int(match.group(1))
        base = f"http://127.0.0.1:{found['8080']}"
        pages = await asyncio.gather(*(asyncio.to_thread(get, base) for _ in range(8)))
        assert pages == [b"inside\n"] * 8
        assert len(await asyncio.to_thread(get, f"{base}/large")) == 5_000_000
        with pytest.raises(OSError, match=r"Remote end closed|reset|refused"):
            await asyncio.to_thread(get, f"http://127.0.0.1:{found['9']}/")
        async with asyncio.timeout(PATIENCE):
            while b"error occurred forwarding" not in (line_ := await process.stdout.readline()):
                assert line_, "the refused connection was not told"


async def test_exec_attach_logs_and_cp(cluster: Cluster, pods: Pods) -> None:
    echo = "while read -r line; do echo got $line; done"
    await pods.create(
        "talk",
        {"name": "a", "command": ["sh", "-c", echo], "stdin": True},
        {"name": "b", "command": ["sh", "-c", "echo from b; exec sleep 1000"]},
    )
    await pods.running("talk")
    assert await said(cluster, pods, "exec", "-i", "talk", "-c", "a", "--", "cat", stdin=b"x\n") == (0, "x\n")
    code, text = await said(cluster, pods, "exec", "talk", "-c", "a", "--", "sh", "-c", "exit 9")
    assert code == 9, text
    async with (
        running(cluster, pods, "attach", "-i", "talk", "-c", "a") as process,
        asyncio.timeout(PATIENCE),
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        while b"got hello" not in (line := await process.stdout.readline()):
            assert line, "attach ended"
    late = ["exec", "-i", "talk", "-c", "b", "--", "nothing-like-it"]
    async with asyncio.timeout(PATIENCE):  # its input, which nobody will read, is not waited for
        code, text = await said(cluster, pods, *late, stdin=bytes(1_000_000))
    assert code == 126, text
    async with (
        running(cluster, pods, "logs", "-f", "--all-containers", "talk") as process,
        asyncio.timeout(PATIENCE),
    ):
        assert process.stdout is not None
        seen = b""
        while not (b"got hello" in seen and b"from b" in seen):
            seen += (piece := await process.stdout.readline())
            assert piece, "logs ended"


async def test_a_terminal_and_its_size(cluster: Cluster, pods: Pods) -> None:
    await pods.create("term", {"name": "a", "command": sleeper()})
    await pods.running("term")
    # The size comes after the program may have begun, as in any terminal that is opened over a network.
    until = "until busybox stty size | busybox grep '{}'; do busybox sleep 0.1; done; "
    script = until.format("33 111") + until.format("44 122")
    command = ("exec", "-it", "term", "--", "busybox", "sh", "-c", script)

    def talk() -> str:
        ours, theirs = pty.openpty()
        resize(ours, 33, 111)
        words = [kubectl(), "--kubeconfig", str(cluster.admin), "-n", pods.namespace, *command]
        process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        text = b""
        try:
            while b"33 111" not in text:
                text += os.read(ours, 1000)
            resize(ours, 44, 122)
            process.send_signal(signal.SIGWINCH)
            while True:
                text += os.read(ours, 1000)
        except OSError:  # EIO: the terminal's end
            return text.decode()
        finally:
            os.close(ours)
            process.wait(10)

    async with asyncio.timeout(30):
        text = await asyncio.to_thread(talk)
    assert "33 111" in text
    assert "44 122" in text


def resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


async def test_a_stream_lives_while_nobody_reads_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings go out, and the answers to them, which stand behind the input, are not waited for."""
    monkeypatch.setattr(streams, "_PING_SECONDS", 0.05)

    async def deaf(request: web.Request) -> web.WebSocketResponse:
        ws = await streams.accept(request)
        async with streams.kept(ws):
            await asyncio.sleep(0.5)
            await ws.send_bytes(b"still here")
        await ws.close()
        return ws

    app = web.Application()
    app.router.add_get("/", deaf)
    server = TestServer(app)
    await server.start_server()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(server.make_url("/"), protocols=(streams.V5,), autoping=False) as ws,
            asyncio.timeout(10),
        ):
            kinds = []
            while (message := await ws.receive()).type is aiohttp.WSMsgType.PING:
                kinds.append(message.type)
            assert message.data == b"still here"
            assert len(kinds) >= 3
    finally:
        await server.close()


def test_the_compression_begins_with_what_the_protocol_says() -> None:
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_frames_in_pieces_and_what_is_none() -> None:
    pack = zlib.compressobj(zdict=spdy.DICTIONARY)
    pairs = [(b"Port", b"80"), (b"streamType", b"data")]
    block = struct.pack(">I", len(pairs))
    for name, value in pairs:
        block += struct.pack(">I", len(name)) + name + struct.pack(">I", len(value)) + value
    packed = pack.compress(block) + pack.flush(zlib.Z_SYNC_FLUSH)
    body = struct.pack(">IIBB", 5, 0, 0, 0) + packed
    whole = struct.pack(">HHI", 0x8003, 1, len(body)) + body
    whole += spdy.Writer().data(5, b"hello", final=True) + spdy.Writer().ping(7)
    reader = spdy.Reader()
    frames = [frame for at in range(len(whole)) for frame in reader.feed(whole[at : at + 1])]
    assert frames == [
        spdy.Open(5, {"port": "80", "streamtype": "data"}, False),
        spdy.Data(5, b"hello", True),
        spdy.Ping(7),
    ]
    for wrong in (
        struct.pack(">HHI", 0x8002, 1, 0),
        struct.pack(">HHI", 0x8003, 1, 2) + b"ab",
        struct.pack(">HHI", 0x8003, 1, 14) + bytes(14),
        struct.pack(">II", 5, 0xFFFFFF),
    ):
        with pytest.raises(spdy.ProtocolError):
            list(spdy.Reader().feed(wrong))
