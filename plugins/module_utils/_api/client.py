# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of the API for modules and plugins: get, list, create, patch, delete, watch, and pod
subresources.

Belongs here: paths, retries, and telling failures apart. Not here: what any kind means, and TLS
(``transport``).
"""

from __future__ import annotations

import errno
import io
import json
import re
import time
import typing as t
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import count
from urllib.parse import quote

from .errors import (
    ClusterError,
    MaybeDone,
    OptionError,
    StatusError,
    TrustError,
    UnreachableError,
    status_error,
)
from .kubeconfig import Connection, connect_params
from .transport import HAS_REQUESTS, Sender, innermost, make_session, refused_credentials

if HAS_REQUESTS:
    import requests

Object = t.Dict[str, t.Any]
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
IDEMPOTENT = frozenset(("GET", "PUT", "PATCH", "DELETE"))
TRIES = 5  # of a request for which no time is set
CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
LONGEST_PAUSE = 2.0  # between two tries, where the cluster names no time
#: So long one watch lasts at most. A connection to a host that died says nothing: a new watch finds that out.
WATCH_SECONDS = 30.0
LIST_CHUNK = 500
_NO_NAMES = ("", ".", "..")


def _said_of(name: str | None) -> str:
    return "%r is no name of an object" % name if name else "must not be empty"


@dataclass(frozen=True)
class Kind:
    """How the API names a kind of object."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    strategic: bool = True  # whether its lists are patched by key, which needs them to be known here

    def path(self, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
        """The address of a collection, or with ``name`` of one object: never of a collection for a name that
        is empty, or that the way there makes none of ("." and ".." are taken out of addresses).
        """
        if name in _NO_NAMES:
            raise OptionError("name", _said_of(name))
        if namespace in _NO_NAMES[1:]:
            raise OptionError("namespace", _said_of(namespace))
        root = "/apis/" if "/" in self.api_version else "/api/"
        parts = [root + self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe=":")]
        parts += [self.plural] + ([] if name is None else [quote(name, safe=":")]) + ([sub] if sub else [])
        return "/".join(parts)


POD = Kind("v1", "Pod", "pods")
NODE = Kind("v1", "Node", "nodes", namespaced=False, strategic=False)
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps", strategic=False)
SECRET = Kind("v1", "Secret", "secrets", strategic=False)
SERVICE = Kind("v1", "Service", "services", strategic=False)
REPLICATION_CONTROLLER = Kind("v1", "ReplicationController", "replicationcontrollers")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases", strategic=False)
NODE_REVOCATION = Kind(
    "authentication.navarch.io/v1alpha1",
    "NodeRevocation",
    "noderevocations",
    namespaced=False,
    strategic=False,
)
SCHEDULING_REVIEW = Kind("scheduling.navarch.io/v1alpha1", "SchedulingReview", "schedulingreviews")


class Client:
    """One cluster, one identity. With ``dry_run`` every write is only tried: the API validates it and stores
    nothing.
    """

    def __init__(self, connection: Connection, dry_run: bool = False) -> None:
        self.connection = connection
        self.dry_run = dry_run
        self.diff = False  # whether the task shows what differs, where to find that out costs a request
        self.known: dict[str, t.Any] = {}  # what others learned about this cluster (discovery)
        self.warnings: list[str] = []  # of the API, to the task that runs
        self._dated: tuple[str | None, float] = (None, 0.0)  # Date of the last answer, and when that was here
        self.patient_until = 0.0  # time.monotonic(): until then requests ride over a cluster that is away
        self.session = make_session(connection)
        self._sender = Sender(connection, self.session)

    @classmethod
    def from_params(cls, params: t.Mapping[str, t.Any], dry_run: bool = False) -> Client:
        """The client for a task's options (those of the ``auth`` doc fragment)."""
        client = cls(connect_params(params), dry_run)
        client.begin(params)
        return client

    def begin(self, params: t.Mapping[str, t.Any]) -> None:
        """A task begins. One that waits tries each request again until its time is up."""
        self.warnings.clear()
        self.patient_until = time.monotonic() + params["wait_timeout"] if params.get("wait") else 0.0

    def trial(self) -> Client:
        """The same client, that only tries its writes and keeps what the API warns of to itself."""
        made = Client.__new__(Client)
        made.__dict__.update(self.__dict__, dry_run=True, warnings=[])
        return made

    def close(self) -> None:
        self.session.close()

    def now(self) -> float:
        """The time by the cluster's clock, in seconds since the epoch, as far as it tells."""
        date, here = self._dated
        try:
            there = parsedate_to_datetime(date).timestamp() if date else here
        except (TypeError, ValueError):
            there = here
        return time.time() + there - here

    # -- verbs

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """The object, or None when there is none of that name."""
        try:
            return self._json("GET", _object(kind, namespace, name))
        except StatusError as problem:
            if problem.code == 404 and problem.reason == "NotFound":
                return None
            raise

    def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: t.Sequence[str] = (),
        fields: t.Sequence[str] = (),
        until: float = 0.0,
    ) -> tuple[list[Object], str]:
        """All objects that match, and the revision to watch from. ``until`` (time.monotonic): how long to
        ride over a cluster that is away.
        """
        query: dict[str, t.Any] = dict(_selectors(labels, fields), limit=LIST_CHUNK)
        items: list[Object] = []
        while True:
            try:
                page = self._json("GET", kind.path(namespace), query=query, until=until)
            except StatusError as problem:
                if problem.code != 410 or "continue" not in query:
                    raise
                items, query = [], _selectors(labels, fields)  # too slow for pages: all at once
                continue
            items += page.get("items") or []
            meta = page.get("metadata") or {}
            if not meta.get("continue"):
                break
            query["continue"] = meta["continue"]
        for item in items:  # items of a list do not say what they are
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
        return items, str(meta.get("resourceVersion") or "")

    def create(
        self,
        kind: Kind,
        namespace: str | None,
        body: Object,
        sub: str | None = None,
        name: str | None = None,
        repeatable: bool = False,
    ) -> Object:
        """Raises MaybeDone where the connection broke after the whole request was sent, unless it is
        ``repeatable``.
        """
        path = kind.path(namespace, name, sub)
        return self._json("POST", path, query=self._write(), body=body, repeatable=repeatable)

    def review(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Asks a question by POST: nothing is stored, so it is the same in check mode."""
        return self._json("POST", kind.path(namespace), body=body, repeatable=True)

    def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: t.Any,
        form: str | None = None,
        query: t.Mapping[str, str] | None = None,
    ) -> Object:
        """Changes an object, by the patch that fits its kind or one of another content type (``form``)."""
        form = form or (STRATEGIC if kind.strategic else MERGE)
        asked = dict(query or {}, **self._write())
        return self._json("PATCH", _object(kind, namespace, name), query=asked, body=body, content_type=form)

    def delete(
        self, kind: Kind, namespace: str | None, name: str, grace: int | None = None, uid: str | None = None
    ) -> bool:
        """Whether there was something to delete. ``uid`` holds it to the object that was looked at."""
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self._json("DELETE", _object(kind, namespace, name), query=self._write(), body=body)
        except StatusError as problem:
            if problem.code == 404:
                return False
            raise
        return True

    def ask(self, path: str) -> Object:
        """What the API says at a path of its own, such as its version or its lists of kinds."""
        return self._json("GET", path)

    def text(self, kind: Kind, namespace: str, name: str, sub: str, query: t.Mapping[str, t.Any]) -> str:
        """A subresource that answers with text, such as a pod's log."""
        with self._send("GET", _object(kind, namespace, name, sub), query=query) as answer:
            content: bytes = answer.content
        return content.decode("utf-8", "replace")

    def watch(
        self,
        kind: Kind,
        namespace: str | None,
        version: str,
        deadline: float,
        labels: t.Sequence[str] = (),
        fields: t.Sequence[str] = (),
        until: float = 0.0,
    ) -> t.Iterator[tuple[str, Object]]:
        """(type, object) of every change after ``version`` until ``deadline`` (time.monotonic), the server's
        end, or WATCH_SECONDS. ``until``: how long to ride over a cluster that is away.

        An ERROR event is raised as StatusError: 410 means the version is too old to watch from.
        """
        remaining = min(WATCH_SECONDS, deadline - time.monotonic())
        if remaining <= 0:
            return
        query = dict(
            _selectors(labels, fields),
            watch="true",
            resourceVersion=version,
            allowWatchBookmarks="true",
            timeoutSeconds=max(1, int(remaining + 0.999)),
        )
        try:
            with self._send(
                "GET",
                kind.path(namespace),
                query=query,
                stream=True,
                read_seconds=remaining,
                until=until,
            ) as answer:
                for line in answer.iter_lines(chunk_size=65536):
                    if line:
                        yield self._event(line, kind, namespace)
                    if time.monotonic() >= deadline:
                        return
        except (
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
        ):
            return  # the stream broke or was silent until the deadline: the caller looks again

    # -- below the verbs

    def _event(self, line: bytes, kind: Kind, namespace: str | None) -> tuple[str, Object]:
        try:
            event = json.loads(line)
            found = (event["type"], event["object"])
        except (ValueError, KeyError, TypeError):
            raise ClusterError(
                "the cluster sent a watch event that is none: %.200s" % line.decode("utf-8", "replace")
            ) from None
        if found[0] == "ERROR":
            raise status_error(int(found[1].get("code") or 500), found[1], "WATCH", kind.path(namespace))
        return found

    def _write(self) -> dict[str, t.Any]:
        return {"dryRun": "All"} if self.dry_run else {}

    def _json(self, verb: str, path: str, **send: t.Any) -> Object:
        with self._send(verb, path, **send) as answer:
            try:
                decoded = json.loads(answer.content)
            except ValueError:
                decoded = None
        if not isinstance(decoded, dict):
            raise ClusterError(
                "%s answers %s %s with something that is no API object" % (self.connection.server, verb, path)
            )
        return decoded

    def _send(
        self,
        verb: str,
        path: str,
        query: t.Mapping[str, t.Any] | None = None,
        body: t.Any = None,
        content_type: str = "application/json",
        stream: bool = False,
        read_seconds: float = ANSWER_SECONDS,
        until: float = 0.0,
        repeatable: bool = False,
    ) -> t.Any:
        """The answer below 400.

        Sent again, until the later of ``until`` and ``patient_until`` and at least TRIES times: what was
        surely not done (no connection, 429, 503 with Retry-After), and where repeating is safe also what may
        have been done (a connection that broke, 502, 503, 504).
        """
        headers = {"Accept": "application/json, */*;q=0.1", "User-Agent": "navarch.cluster"}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode("utf-8")
        safe = repeatable or (verb in IDEMPOTENT and content_type != JSON_PATCH)
        began, deadline, renewed = time.monotonic(), max(until, self.patient_until), False
        for attempt in count():
            sent = None if data is None or safe else _Body(data)
            try:
                answer = self._sender.send(
                    verb,
                    self.connection.server + path,
                    query,
                    headers,
                    data if sent is None else sent,
                    (CONNECT_SECONDS, read_seconds),
                    stream,
                )
            except requests.exceptions.RequestException as problem:
                if stream and isinstance(problem, requests.exceptions.ReadTimeout):
                    raise  # a watch that was silent
                done = _may_have_acted(problem) and (sent is None or sent.whole)
                again = (safe or not done) and _passes(problem, time.monotonic() < deadline)
                if not (again and _rest(attempt, deadline)):
                    raise self._explain(problem, done and not safe, time.monotonic() - began) from None
                continue
            if answer.status_code < 300:
                self._dated = (answer.headers.get("Date"), time.time())
                if "Warning" in answer.headers:
                    self._warn(answer.headers["Warning"])
                return answer
            if answer.status_code == 401 and not renewed and self.session.auth.renew():
                renewed = True  # nothing was done, and the credentials are others now
                answer.close()
                continue
            if answer.status_code == 401:
                raise refused_credentials(self.connection, _decoded(answer), verb, path)
            after = answer.headers.get("Retry-After")
            if not (_is_busy(answer, safe, after) and _rest(attempt, deadline, after)):
                raise status_error(answer.status_code, _decoded(answer), verb, path)
            answer.close()
        raise AssertionError("unreachable: the last try returns or raises")

    def _warn(self, header: str) -> None:
        """Keeps what the API warns of (RFC 7234, section 5.5: code 299), such as fields it does not know."""
        for text in _WARNING.findall(header):
            said = re.sub(r"\\(.)", r"\1", text)
            if said not in self.warnings:
                self.warnings.append(said)

    def _explain(self, problem: Exception, unknown: bool, seconds: float) -> ClusterError:
        """The exception of requests in a person's words. Its own text nests four reprs. ``unknown``: whether
        a write may have been done. ``seconds``: how long it was tried.
        """
        server, origin = self.connection.server, self.connection.origin
        said = innermost(problem)
        if seconds >= CONNECT_SECONDS:
            said += "; tried for %d s" % seconds
        if unknown:
            return MaybeDone(
                "%s broke the connection before its answer (%s): whether it acted is not known"
                % (server, said)
            )
        if isinstance(problem, requests.exceptions.SSLError):
            if "CERTIFICATE_VERIFY_FAILED" in str(problem) or "certificate verify failed" in str(problem):
                reason = (
                    str(problem).rpartition("verify failed:")[2].partition("(_ssl")[0].strip(" )'\"") or said
                )
                return TrustError(
                    "ca_cert: %s does not prove to be the cluster of %s: %s" % (server, origin, reason)
                )
            if "alert" in str(problem).lower():
                return TrustError(
                    "client_cert: %s refuses the client certificate of %s: %s" % (server, origin, said)
                )
            return TrustError("TLS with %s fails: %s" % (server, said))
        if isinstance(problem, requests.exceptions.ProxyError):
            return UnreachableError("proxy: cannot reach %s through it: %s" % (server, said))
        if isinstance(problem, requests.exceptions.ReadTimeout):
            return UnreachableError("%s does not answer within %d seconds" % (server, ANSWER_SECONDS))
        if isinstance(problem, requests.exceptions.ConnectionError):
            return UnreachableError("cannot reach the cluster at %s (from %s): %s" % (server, origin, said))
        return UnreachableError("cannot ask the cluster at %s (from %s): %s" % (server, origin, said))


def _object(kind: Kind, namespace: str | None, name: str | None, sub: str | None = None) -> str:
    """The address of one object: whatever the name, never that of a collection."""
    return kind.path(namespace, name or "", sub)


def _selectors(labels: t.Sequence[str], fields: t.Sequence[str]) -> dict[str, t.Any]:
    query = {}
    if labels:
        query["labelSelector"] = ",".join(labels)
    if fields:
        query["fieldSelector"] = ",".join(fields)
    return query


def _decoded(answer: t.Any) -> t.Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text


class _Body(io.BytesIO):
    """The body of a request, that knows whether all of it was sent: its end is read only after that."""

    whole = False

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.whole = self.whole or not data
        return data


_WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')


def _may_have_acted(problem: Exception) -> bool:
    """Whether a request that failed so may have reached the cluster; not where there was no connection."""
    exceptions = requests.exceptions
    if isinstance(problem, (exceptions.ProxyError, exceptions.ConnectTimeout)):
        return False
    return "NewConnectionError" not in repr(problem) and "NameResolution" not in repr(problem)


def _passes(problem: Exception, patient: bool) -> bool:
    """Whether what went wrong may pass. Not doubts about certificates, nor names that nobody has. Without
    time for it, only what fails at once is tried again.
    """
    exceptions, said = requests.exceptions, repr(problem)
    if isinstance(problem, exceptions.SSLError):  # a server that ends while it shakes hands
        return "SSLEOFError" in said or "SSLZeroReturnError" in said
    if "NameResolution" in said:
        return False
    slow = isinstance(problem, (exceptions.ProxyError, exceptions.Timeout))
    if slow or ("NewConnectionError" in said and "[Errno %d]" % errno.ECONNREFUSED not in said):
        return patient
    return isinstance(problem, (exceptions.ConnectionError, exceptions.ChunkedEncodingError))


def _is_busy(answer: t.Any, safe: bool, after: str | None) -> bool:
    """Whether an answer says to ask again later. One that a disruption budget gives is for who asked."""
    if answer.status_code == 429:
        return '"DisruptionBudget"' not in answer.text
    if answer.status_code == 503 and after is not None:
        return True
    return safe and answer.status_code in (502, 503, 504)


def _rest(attempt: int, deadline: float, retry_after: str | None = None) -> bool:
    """Waits for the next try; False where there is to be none."""
    left = deadline - time.monotonic()
    if left <= 0 and attempt >= TRIES - 1:
        return False
    pause = _pause(attempt, retry_after)
    time.sleep(min(pause, left) if left > 0 else pause)
    return True


def _pause(attempt: int, retry_after: str | None) -> float:
    if retry_after and retry_after.isdigit():
        return float(min(int(retry_after), 10))
    return min(0.1 * (1 << min(attempt, 10)), LONGEST_PAUSE)
