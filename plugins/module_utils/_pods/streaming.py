# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""A command in a container, with its streams and its exit code: the remote command protocol over a WebSocket
(Kubernetes documentation, "WebSocket streaming"; ``v5.channel.k8s.io``, and ``v4`` of clusters before 1.30).

Belongs here: running one command, and saying in a line why it could not be. Not here: what a module makes of
it, and frames (``_api.websocket``).
"""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass

from .._api.client import POD, Client
from .._api.errors import ClusterError, OptionError, StatusError, UnreachableError, status_error
from .._api.transport import refused_credentials
from .._api.websocket import Broken, Refused, WebSocket, dial
from .state import judge

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
_STDIN, STDOUT, STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_CHUNK = 128 * 1024
_AHEAD = 1024 * 1024  # bytes of standard input that may wait to be sent
#: In v4 nobody can say that standard input has ended: the shell in the container counts it instead.
_COUNTED = ["sh", "-c", 'head -c "$0" | "$@"']


@dataclass(frozen=True)
class Target:
    """A container. Without a name it is the pod's only one."""

    namespace: str
    pod: str
    container: str | None = None

    def __str__(self) -> str:
        return "pod %s/%s" % (self.namespace, self.pod)


@dataclass(frozen=True)
class Stdin:
    """What a command reads: pieces that make up ``length`` bytes. An empty one says that the next has to wait
    for the command to write something.
    """

    pieces: t.Iterable[bytes]
    length: int

    @classmethod
    def of(cls, data: bytes) -> Stdin:
        return cls([data] if data else [], len(data))


@dataclass(frozen=True)
class Outcome:
    code: int
    out: bytes
    err: bytes


class CommandTimeout(ClusterError):
    """The command did not end in time. It may still run."""


class NoPod(OptionError):
    """There is no such pod. ``said`` is that without the option."""

    def __init__(self, target: Target) -> None:
        self.said = "%s does not exist" % target
        super().__init__("name", "there is no %s" % target)


class NotStarted(ClusterError):
    """The container's engine could not start the command."""


Sink = t.Callable[[int, bytes], None]


def run(
    client: Client,
    target: Target,
    argv: t.Sequence[str],
    data: bytes | None = None,
    timeout: float | None = None,
) -> Outcome:
    """Runs a command and keeps what it writes."""
    kept: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
    stdin = None if data is None else Stdin.of(data)
    code = execute(client, target, argv, lambda stream, part: kept[stream].append(part), stdin, timeout)
    outcome = Outcome(code, b"".join(kept[STDOUT]), b"".join(kept[STDERR]))
    if code in (126, 127) and outcome.out.startswith(b"OCI runtime exec failed"):  # Docker's way to say it
        raise _not_started(target, outcome.out.decode("utf-8", "replace").partition(": unknown")[0])
    return outcome


def execute(
    client: Client,
    target: Target,
    argv: t.Sequence[str],
    sink: Sink,
    stdin: Stdin | None = None,
    timeout: float | None = None,
) -> int:
    """The exit code of a command, whose output goes to ``sink`` as it comes.

    Raises ClusterError: the subclass and its line tell what was wrong.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    ws = _open(client, target, list(argv), stdin)
    try:
        return _pump(ws, target, sink, stdin, deadline)
    except Broken as problem:
        raise UnreachableError(
            "the connection to %s broke before the command's end (%s): whether it ended is not known"
            % (target, problem)
        ) from None
    finally:
        ws.close()


def _open(client: Client, target: Target, argv: list[str], stdin: Stdin | None) -> WebSocket:
    try:
        return _dial(client, target, argv, stdin is not None, V5)
    except Refused as problem:
        first = problem
    if not _is_status(first.body) and first.code in (400, 403):  # it may be too old for v5: nothing has run
        counted = argv if stdin is None else [*_COUNTED, str(stdin.length), *argv]
        try:
            return _dial(client, target, counted, stdin is not None, V4)
        except Refused as problem:
            first = problem if _is_status(problem.body) else first
    raise _explained(client, target, first)


def _dial(client: Client, target: Target, argv: list[str], stdin: bool, protocol: str) -> WebSocket:
    path = POD.path(target.namespace, target.pod, "exec")
    query = [("command", word) for word in argv]
    query += [("stdout", "true"), ("stderr", "true")]
    if stdin:
        query.append(("stdin", "true"))
    if target.container:
        query.append(("container", target.container))
    server = client.connection.server
    try:
        try:
            return dial(client.session, server + path, query, [protocol])
        except ConnectionRefusedError:
            client.ask("/version")  # which rides over a restart; nothing has run
        except Refused as problem:
            if problem.code != 401 or not client.session.auth.renew():
                raise
        return dial(client.session, server + path, query, [protocol])
    except (OSError, Broken) as problem:
        client.ask("/version")  # which explains a cluster that is away, or that is another one
        said = getattr(problem, "strerror", None) or str(problem)
        raise UnreachableError("cannot open a stream to %s by %s: %s" % (target, server, said)) from None


def _pump(ws: WebSocket, target: Target, sink: Sink, stdin: Stdin | None, deadline: float | None) -> int:
    """Both directions until the command's end."""
    pieces: t.Iterator[bytes] | None = _pieces(stdin.pieces) if stdin else None
    while True:
        while pieces is not None and ws.waiting < _AHEAD:
            piece = next(pieces, None)
            if piece:
                ws.send(bytes((_STDIN,)) + piece)
                continue
            if piece is not None:
                break
            pieces = None
            if ws.protocol == V5:
                ws.send(bytes((_CLOSE, _STDIN)))
        left = 60.0 if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise CommandTimeout(
                "timeout: the command has not ended in time; it may still run in %s" % target
            )
        for message in ws.poll(left):
            channel, data = message[:1], message[1:]
            if channel == bytes((_STATUS,)):
                return _code(data, target)
            if channel in (b"\x01", b"\x02") and data:
                sink(channel[0], data)
        if ws.closed:
            raise Broken("it was closed without an exit code")


def _pieces(given: t.Iterable[bytes]) -> t.Iterator[bytes]:
    for part in given:
        for start in range(0, len(part) or 1, _CHUNK):
            yield part[start : start + _CHUNK]


def _code(data: bytes, target: Target) -> int:
    """The exit code in the Status that ends a command."""
    try:
        status = json.loads(data)
        if status.get("status") == "Success":
            return 0
        causes = (status.get("details") or {}).get("causes") or []
        if status.get("reason") == "NonZeroExitCode":
            return next(int(c["message"]) for c in causes if c.get("reason") == "ExitCode")
        said = str(status.get("message") or "no reason given")
    except (ValueError, KeyError, AttributeError, StopIteration):
        raise ClusterError("the end of the command in %s is told in no known way" % target) from None
    raise _not_started(target, said)


def _not_started(target: Target, said: str) -> NotStarted:
    return NotStarted("the command could not be run in %s: %s" % (target, said))


# -- why not


def _is_status(body: bytes) -> bool:
    try:
        decoded = json.loads(body)
    except ValueError:
        return False
    return isinstance(decoded, dict) and decoded.get("kind") == "Status"


def _explained(client: Client, target: Target, refused: Refused) -> ClusterError:
    """What is wrong with the container, where that is the reason; else the API's own words."""
    if refused.code < 400:
        return UnreachableError(
            "%s answers %d to a WebSocket: something on the way does not pass it on"
            % (client.connection.server, refused.code)
        )
    said: t.Any = refused.body.decode("utf-8", "replace")
    if _is_status(refused.body):
        said = json.loads(said)
    path = POD.path(target.namespace, target.pod, "exec")
    if refused.code == 401:
        return refused_credentials(client.connection, said, "GET", path)
    problem = status_error(refused.code, said, "GET", path)
    if problem.code == 403:
        return problem
    try:
        pod = client.get(POD, target.namespace, target.pod)
    except StatusError:
        return problem  # it may run commands but not look
    return why_not(pod, target) or _node_trouble(pod or {}, problem)


def why_not(pod: t.Mapping[str, t.Any] | None, target: Target) -> ClusterError | None:
    """Why no command can run in a container, by its pod; None where the pod says nothing against it."""
    if pod is None:
        return NoPod(target)
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    usual = [c["name"] for c in spec.get("containers") or []]
    every = usual + [c["name"] for c in spec.get("initContainers") or []]
    every += [c["name"] for c in spec.get("ephemeralContainers") or []]
    if target.container and target.container not in every:
        return OptionError(
            "container", "%s has no container %s; it has %s" % (target, target.container, ", ".join(every))
        )
    if not target.container and len(usual) > 1:
        return OptionError("container", "%s has several: say which of %s" % (target, ", ".join(usual)))
    if status.get("phase") in ("Succeeded", "Failed"):
        return ClusterError("%s has ended (%s)" % (target, status["phase"]))
    if not spec.get("nodeName"):
        return ClusterError("%s is on no node yet: %s" % (target, judge(pod, "Running").reason))
    name = target.container or usual[0]
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    states = [c for kind in kinds for c in status.get(kind) or [] if c.get("name") == name]
    state = (states[0].get("state") or {}) if states else {}
    if "running" in state:
        return None
    for word in ("waiting", "terminated"):
        if word in state:
            what = state[word] or {}
            parts = [str(what[key]) for key in ("reason", "message") if what.get(key)]
            if word == "terminated":
                parts.append("exit code %s" % what.get("exitCode"))
            return ClusterError(
                "container %s of %s does not run: %s" % (name, target, ", ".join([word, *parts]))
            )
    return ClusterError("container %s of %s has not been started yet" % (name, target))


def _node_trouble(pod: t.Mapping[str, t.Any], problem: StatusError) -> ClusterError:
    node = (pod.get("spec") or {}).get("nodeName")
    if problem.code >= 500 and node:
        return UnreachableError("node %s, which has the pod, cannot be reached: %s" % (node, problem.said))
    return problem
