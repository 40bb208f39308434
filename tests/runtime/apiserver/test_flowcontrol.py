# SPDX-License-Identifier: GPL-3.0-or-later
"""One user's flood delays that user: turns, seats, 429 beyond, and what is seen of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from apiserver_support import Http, Standalone, kubectl_binary

from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.apiserver import flowcontrol
from navarch.apiserver.flowcontrol import Flow, FlowControl
from navarch.apiserver.limits import Limits
from navarch.auth.user import User
from navarch.client.http import HttpClient

GREEDY, MODEST = User("greedy"), User("modest")
ADMIN, NODE = User("admin", ("system:masters",)), User("system:node:n", ("system:nodes",))


async def request(flow: Flow, work: Callable[[], Any], wait: float = 0.0) -> None:
    """As the server does it: `work` on the loop, then a wait with the seat held."""
    if not flow.enter():
        await flow.wait()
    try:
        work()
        if wait:
            await asyncio.sleep(wait)
    finally:
        flow.leave()


def busy(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def test_users_take_turns_however_much_one_asks() -> None:
    control = FlowControl(Limits(requests_queued_per_user=1000))
    order: list[str] = []

    def work(name: str) -> Callable[[], None]:
        return lambda: (order.append(name), busy(0.005))[0]

    flood = [asyncio.ensure_future(request(control.of(GREEDY), work("greedy"))) for _ in range(200)]
    await asyncio.sleep(0)
    for _ in range(3):
        await request(control.of(MODEST), work("modest"))
    # What was begun before it was seen, and from then on turn by turn.
    places = [i for i, name in enumerate(order) if name == "modest"]
    assert places[-1] < 40, order
    await asyncio.gather(*flood)
    assert control.of(GREEDY).idle


async def test_seats_that_are_held_are_shared_too() -> None:
    control = FlowControl(Limits(requests_in_flight=4, requests_queued_per_user=1000))
    done: list[str] = []

    async def one(user: User) -> None:
        await request(control.of(user), lambda: None, 0.01)
        done.append(user.name)

    flood = [asyncio.ensure_future(one(GREEDY)) for _ in range(100)]
    await asyncio.sleep(0.005)
    assert control.of(GREEDY).executing == 4
    await asyncio.gather(one(MODEST), one(NODE), one(ADMIN))
    assert done.count("greedy") <= 12
    await asyncio.gather(*flood)


async def test_beyond_the_queue_and_beyond_the_time_is_429(monkeypatch: pytest.MonkeyPatch) -> None:
    control = FlowControl(Limits(requests_in_flight=1, requests_queued_per_user=2))
    flow = control.of(GREEDY)
    assert flow.enter()
    waiting = [asyncio.ensure_future(flow.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StatusError) as refused:
        await asyncio.wait_for(flow.wait(), 10)
    assert (refused.value.code, refused.value.details) == (429, {"retryAfterSeconds": 1})
    # Others of that level wait, administrators and nodes have their own.
    assert not control.of(MODEST).enter()
    assert control.of(ADMIN).enter()
    assert control.of(NODE).enter()
    monkeypatch.setattr(flowcontrol, "WAIT_SECONDS", -1.0)
    control.sweep()
    for task in waiting:
        with pytest.raises(StatusError):
            await asyncio.wait_for(task, 10)
    flow.leave()
    assert flow.idle
    assert flow.enter()


async def test_a_request_that_is_given_up_leaves_no_seat_taken() -> None:
    control = FlowControl(Limits(requests_in_flight=1))
    flow = control.of(GREEDY)
    assert flow.enter()
    waiting = [asyncio.ensure_future(flow.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    flow.leave()
    await asyncio.sleep(0)
    waiting[1].cancel()  # it may have got its seat already
    async with asyncio.timeout(5):
        await waiting[2]
    flow.leave()
    assert (flow.idle, flow.enter()) == (True, True)


async def test_watches_and_streams_count_for_their_user() -> None:
    control = FlowControl(Limits(long_running_per_user=2))
    flow = control.of(GREEDY)
    flow.begin_long()
    flow.begin_long()
    with pytest.raises(StatusError):
        flow.begin_long()
    control.of(MODEST).begin_long()
    flow.end_long()
    flow.begin_long()
    for _ in range(10):
        control.of(ADMIN).begin_long()


# With the real server.


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A server with small limits."""
    folder = tmp_path_factory.mktemp("strict")
    limits = (
        "requestsInFlight=2",
        "requestsQueuedPerUser=2",
        "longRunningPerUser=2",
        "connectionsPerUser=60",
    )
    options = [word for limit in limits for word in ("--limit", limit)]
    made = Standalone(folder, "--data-dir", str(folder / "data"), *options).start()
    try:
        yield made
    finally:
        assert made.stop() == 0


def account(server: Standalone, name: str, namespace: str = "default") -> str:
    """A service account; its token. It may read the pods of its namespace."""
    server.kubectl("create", "serviceaccount", name, "-n", namespace, check=False)
    return server.kubectl("create", "token", name, "-n", namespace).strip()


@contextlib.asynccontextmanager
async def session(server: Standalone, token: str) -> AsyncIterator[Http]:
    connector = aiohttp.TCPConnector(ssl=server.tls(), limit=0)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as made:
        yield Http(made, server.url)


PODS = "/api/v1/namespaces/default/pods"


async def latency(http: Http, path: str, times: int) -> float:
    """The median, in seconds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        assert (await http("GET", path))[0] == 200
        found.append(time.perf_counter() - began)
    return sorted(found)[times // 2]


#: A flood of lists from a process of its own: its work is not the measuring client's.
FLOOD = """
import asyncio, ssl, sys
host, port, token, path, count, ca = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)
request = f"GET {path} HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n".encode()
async def one():
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    while True:
        writer.write(request)
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\\r\\n")[0])
        await reader.readexactly(length)
        print(head.split()[1].decode(), flush=True)
async def main():
    await asyncio.gather(*(one() for _ in range(int(count))))
asyncio.run(main())
"""


@contextlib.contextmanager
def flood(
    server: Standalone, token: str, path: str, count: int, folder: Path
) -> Iterator[subprocess.Popen[str]]:
    import base64

    cluster = json.loads(server.kubeconfig.read_text())["clusters"][0]["cluster"]
    ca = folder / "ca.crt"
    ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    host, port = server.url.removeprefix("https://").split(":")
    command = [sys.executable, "-c", FLOOD, host, port, token, path, str(count), str(ca)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def test_a_flood_delays_the_user_it_comes_from(
    server: Standalone, namespace: str, tmp_path: Path
) -> None:
    """Another user's delay does not grow with the connections of the flood."""
    greedy, modest = account(server, "greedy", namespace), account(server, "modest", namespace)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"schedulerName": "none", "containers": [{"name": "c", "image": "i"}]}
    async with session(server, server.token) as admin:

        async def create(number: int) -> None:
            metadata = {"name": f"p{number}", "labels": {"tier": "web", "number": str(number)}}
            assert (await admin("POST", pods, json={"metadata": metadata, "spec": spec}))[0] == 201

        for first in range(0, 2000, 50):
            await asyncio.gather(*map(create, range(first, first + 50)))
    # Costs the server milliseconds and the flood next to nothing, so that the flood is always ahead.
    selected = f"{pods}?labelSelector=number+notin+(a,b,c),tier+in+(x,y,z)"
    medians = {}
    async with session(server, modest) as http:
        for count in (4, 64):
            with flood(server, greedy, selected, count, tmp_path) as process:
                assert process.stdout is not None
                for _ in range(count):  # all of it is there
                    assert await asyncio.to_thread(process.stdout.readline) == "200\n"
                reading = asyncio.ensure_future(asyncio.to_thread(process.stdout.read))
                medians[count] = await latency(http, f"{pods}/p7", 41)
                process.kill()
                await reading
    # Without turns it is sixteen times as much.
    assert medians[64] < medians[4] * 5 + 0.005, medians


async def rejected(http: Http) -> float:
    """Requests of ordinary users that were refused so far."""
    _, text = await http("GET", "/metrics")
    name = "apiserver_flowcontrol_rejected_requests_total"
    lines = [line for line in text.decode().splitlines() if line.startswith(name) and "workload" in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


async def until_busy(http: Http, before: float) -> None:
    """More requests are refused than `before`."""
    async with asyncio.timeout(60):
        while await rejected(http) <= before:
            await asyncio.sleep(0.05)


async def test_429_says_when_to_come_back_and_is_counted(strict: Standalone) -> None:
    token = account(strict, "greedy")
    async with session(strict, strict.token) as admin, session(strict, token) as http:

        async def one() -> tuple[int, str]:
            async with http.session.get(f"{http.url}{PODS}") as answer:
                await answer.read()
                return answer.status, answer.headers.get("Retry-After", "")

        found: set[tuple[int, str]] = set()
        async with asyncio.timeout(60):
            while (429, "1") not in found:
                found |= set(await asyncio.gather(*(one() for _ in range(50))))
        assert found == {(200, ""), (429, "1")}
        _, text = await admin("GET", "/metrics")
        shown = text.decode()
        for line in (
            'apiserver_flowcontrol_rejected_requests_total{flow_schema="workload",priority_level="workload",'
            'reason="queue-full"}',
            'apiserver_flowcontrol_nominal_limit_seats{priority_level="workload"} 2.0',
            'apiserver_flowcontrol_current_inqueue_requests{flow_schema="workload"',
            'apiserver_flowcontrol_request_wait_duration_seconds_count{flow_schema="workload"',
            'apiserver_connections{priority_level="workload"}',
        ):
            assert line in shown, line


async def test_watches_beyond_a_users_number_are_429(strict: Standalone) -> None:
    token = account(strict, "watching")
    async with session(strict, token) as http, contextlib.AsyncExitStack() as stack:
        codes = []
        for _ in range(3):
            got = await stack.enter_async_context(http.session.get(f"{http.url}{PODS}?watch=1"))
            codes.append(got.status)
        assert codes == [200, 200, 429]


async def test_connections_beyond_a_users_number_are_429_and_end(strict: Standalone) -> None:
    token = account(strict, "connecting")
    host, port = strict.url.removeprefix("https://").split(":")
    request = f"GET {PODS}?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    opened = []
    codes = []
    try:
        for _ in range(61):
            streams = await asyncio.open_connection(host, int(port), ssl=strict.tls())
            opened.append(streams)
            streams[1].write(request)
            codes.append((await streams[0].readline()).split()[1])
        assert codes == [b"200"] * 60 + [b"429"]
        async with asyncio.timeout(10):
            assert b"Connection: close" in await opened[-1][0].read()
        assert "kube-system" in strict.kubectl("get", "namespaces")
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def test_a_slow_body_holds_no_seat(strict: Standalone) -> None:
    greedy, modest = account(strict, "greedy"), account(strict, "modest")
    host, port = strict.url.removeprefix("https://").split(":")
    head = (
        f"POST {PODS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {greedy}\r\nContent-Length: 1000\r\n\r\n{{"
    )
    opened = []
    try:
        for _ in range(6):
            streams = await asyncio.open_connection(host, int(port), ssl=strict.tls())
            opened.append(streams[1])
            streams[1].write(head.encode())
        async with session(strict, modest) as http, asyncio.timeout(10):
            for _ in range(20):
                assert (await http("GET", f"{PODS}?limit=1"))[0] == 200
    finally:
        for writer in opened:
            writer.transport.abort()


async def test_clients_come_back_after_429(strict: Standalone, tmp_path: Path) -> None:
    """kubectl, the modules' client and our own client wait and ask again."""
    token = account(strict, "greedy")
    document = json.loads(strict.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document))
    async with session(strict, strict.token) as admin:
        before = await rejected(admin)
        with flood(strict, token, PODS, 50, tmp_path) as process:
            assert process.stdout is not None
            reading = asyncio.ensure_future(asyncio.to_thread(process.stdout.read))
            await until_busy(admin, before)
            command = [kubectl_binary(), "--kubeconfig", str(path), "get", "pods"]
            asked = asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            async with HttpClient.from_kubeconfig(path) as client:
                lists = asyncio.gather(*(client.list(Pod, "default") for _ in range(6)))
                kubectl = await asked
                # They are refused meanwhile; the flood ends before they give up.
                await asyncio.sleep(2)
                process.kill()
                codes = await reading
                assert [found.items for found in await lists] == [[]] * 6
                out, err = await kubectl.communicate()
                assert (kubectl.returncode, out) == (0, b""), err
    assert "429\n" in codes
