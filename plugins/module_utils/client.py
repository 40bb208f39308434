# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verbs of the API for modules and plugins: get, list, create, patch, delete, watch, and pod
subresources.

Belongs here: paths, retries, and telling failures apart. Not here: what any kind means, and TLS
(``transport``).
"""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import quote

from .errors import ClusterError, OptionError, StatusError, TrustError, UnreachableError, status_error
from .kubeconfig import Connection, connect_params
from .transport import HAS_REQUESTS, Sender, innermost, make_session, refused_credentials

if HAS_REQUESTS:
    import requests

Object = t.Dict[str, t.Any]
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
IDEMPOTENT = frozenset(("GET", "PUT", "PATCH", "DELETE"))
TRIES = 5
CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
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
        self.session = make_session(connection)
        self._sender = Sender(connection, self.session)

    @classmethod
    def from_params(cls, params: t.Mapping[str, t.Any], dry_run: bool = False) -> Client:
        """The client for a task's options (those of the ``auth`` doc fragment)."""
        return cls(connect_params(params), dry_run)

    def close(self) -> None:
        self.session.close()

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
    ) -> tuple[list[Object], str]:
        """All objects that match, and the revision to watch from."""
        query: dict[str, t.Any] = dict(_selectors(labels, fields), limit=LIST_CHUNK)
        items: list[Object] = []
        while True:
            try:
                page = self._json("GET", kind.path(namespace), query=query)
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
        self, kind: Kind, namespace: str | None, body: Object, sub: str | None = None, name: str | None = None
    ) -> Object:
        return self._json("POST", kind.path(namespace, name, sub), query=self._write(), body=body)

    def review(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Asks a question by POST: nothing is stored, so it is the same in check mode."""
        return self._json("POST", kind.path(namespace), body=body)

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
    ) -> t.Iterator[tuple[str, Object]]:
        """(type, object) of every change after ``version`` until ``deadline`` (time.monotonic) or the
        server's end.

        An ERROR event is raised as StatusError: 410 means the version is too old to watch from.
        """
        remaining = deadline - time.monotonic()
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
                "GET", kind.path(namespace), query=query, stream=True, read_seconds=remaining
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
    ) -> t.Any:
        """The answer below 400. Retried: 429 always (nothing was done), 503 and broken connections where
        repeating is safe.
        """
        headers = {"Accept": "application/json, */*;q=0.1", "User-Agent": "navarch.cluster"}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode("utf-8")
        renewed = False
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                answer = self._sender.send(
                    verb,
                    self.connection.server + path,
                    query,
                    headers,
                    data,
                    (CONNECT_SECONDS, read_seconds),
                    stream,
                )
            except requests.exceptions.RequestException as problem:
                if last or verb not in IDEMPOTENT or not _broken(problem):
                    raise self._explain(problem, verb) from None
                time.sleep(_pause(attempt, None))
                continue
            if answer.status_code < 300:
                return answer
            retry = answer.status_code == 429 or (answer.status_code == 503 and verb in IDEMPOTENT)
            if answer.status_code == 401 and not last and not renewed and self.session.auth.renew():
                renewed = True  # nothing was done, and the credentials are others now
                answer.close()
                continue
            if answer.status_code == 401:
                raise refused_credentials(self.connection, _decoded(answer), verb, path)
            if not retry or last:
                raise status_error(answer.status_code, _decoded(answer), verb, path)
            answer.close()
            time.sleep(_pause(attempt, answer.headers.get("Retry-After")))
        raise AssertionError("unreachable: the last try returns or raises")

    def _explain(self, problem: Exception, verb: str) -> ClusterError:
        """The exception of requests in a person's words. Its own text nests four reprs."""
        server, origin = self.connection.server, self.connection.origin
        said = innermost(problem)
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
            if _broken(problem) and verb not in IDEMPOTENT:
                return UnreachableError(
                    "%s broke the connection before its answer (%s): whether it acted is not known"
                    % (server, said)
                )
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


def _broken(problem: Exception) -> bool:
    """A connection that was there and broke; not one that never came about, and not a doubt about
    certificates.
    """
    wrong = (requests.exceptions.SSLError, requests.exceptions.ProxyError, requests.exceptions.ConnectTimeout)
    if isinstance(problem, wrong) or not isinstance(problem, requests.exceptions.ConnectionError):
        return isinstance(problem, requests.exceptions.ChunkedEncodingError)
    return "NewConnectionError" not in repr(problem) and "NameResolution" not in repr(problem)


def _pause(attempt: int, retry_after: str | None) -> float:
    if retry_after and retry_after.isdigit():
        return float(min(int(retry_after), 10))
    return 0.1 * (1 << attempt)
