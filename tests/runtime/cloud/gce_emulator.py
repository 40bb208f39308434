# SPDX-License-Identifier: GPL-3.0-or-later
"""Google Compute Engine on a loopback port, as far as the collection uses it, held to Google's own documents.

Belongs here: state, paths and faults on demand. Each request, and each answer of 200, is checked against the
discovery documents; what is wrong with them is gathered in ``wrong``. Not here: the tests.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from discovery import Discovery

Object = dict[str, Any]
COMPUTE, MANAGER = "/compute/v1/", "/"
_DOCUMENTS: dict[str, Discovery] = {}


@dataclass
class Fault:
    """An answer to give instead of the right one, ``times`` times, to requests whose path matches."""

    path: str
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


def error(code: int, message: str, reason: str = "") -> Answer:
    """An error as Google's APIs word it."""
    errors = [{"message": message, "domain": "global", "reason": reason or "error"}]
    return Answer(code, {"error": {"code": code, "message": message, "errors": errors}})


def document(name: str) -> Discovery:
    if name not in _DOCUMENTS:
        _DOCUMENTS[name] = Discovery(name)
    return _DOCUMENTS[name]


class Gce:
    """The cloud. Objects lie in ``things`` by their path after the API's base."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self.things: dict[str, Object] = {}
        self.projects: dict[str, str] = {}  # project: folder
        self.host_keys: dict[str, dict[str, str]] = {}  # machine: kind of key: key, once its agent told them
        self.folders: dict[str, str] = {}  # folder: folder above
        self.operations: dict[str, Object] = {}
        self.faults: list[Fault] = []
        self.scope_extras: dict[str, Object] = {}  # what a scope of an aggregated list has besides
        self.extras: Object = {}  # what a list has besides
        self.tokens = {"token-1"}
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page = 500
        self.operation_error: Object | None = None
        self._addresses = iter(addresses)
        self._next, self._lock = 1000, threading.RLock()
        cloud = self

        class Handler(_Handler):
            gce = cloud

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Gce:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def fail(self, path: str, status: int, body: Any = None, times: int = 1, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(path, status, body, named, times))

    def service_account(self, private_key: str, project: str = "ship") -> Object:
        """The key of a service account whose tokens this cloud gives out."""
        return {
            "type": "service_account",
            "project_id": project,
            "private_key_id": "key-of-the-test",
            "private_key": private_key,
            "client_email": f"sailor@{project}.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/token",
        }

    def new_token(self) -> str:
        with self._lock:
            self.tokens = {f"token-{self._number()}"}
            return next(iter(self.tokens))

    def add_instance(self, project: str, zone: str, name: str, **more: Any) -> Object:
        """An instance that runs. ``more`` replaces its fields."""
        base = f"{self.url}{COMPUTE}projects/{project}"
        number = self._number()
        address = f"10.128.{number // 250 % 250}.{number % 250 + 2}"
        if "networkInterfaces" not in more:  # those that come with addresses of their own take none of ours
            address = next(self._addresses, address)
        instance = {
            "kind": "compute#instance",
            "id": str(4_000_000_000_000_000_000 + number),
            "creationTimestamp": "2026-01-02T03:04:05.678-07:00",
            "name": name,
            "tags": {"fingerprint": _print(name)},
            "machineType": f"{base}/zones/{zone}/machineTypes/e2-medium",
            "status": "RUNNING",
            "zone": f"{base}/zones/{zone}",
            "canIpForward": False,
            "networkInterfaces": [
                {
                    "kind": "compute#networkInterface",
                    "name": "nic0",
                    "network": f"{base}/global/networks/default",
                    "subnetwork": f"{base}/regions/{zone[:-2]}/subnetworks/default",
                    "networkIP": address,
                    "stackType": "IPV4_ONLY",
                    "fingerprint": _print(name),
                }
            ],
            "disks": [
                {
                    "kind": "compute#attachedDisk",
                    "type": "PERSISTENT",
                    "mode": "READ_WRITE",
                    "source": f"{base}/zones/{zone}/disks/{name}",
                    "deviceName": "persistent-disk-0",
                    "index": 0,
                    "boot": True,
                    "autoDelete": True,
                    "licenses": [f"{self.url}{COMPUTE}projects/debian-cloud/global/licenses/debian-12"],
                    "diskSizeGb": "10",
                    "interface": "SCSI",
                }
            ],
            "metadata": {"kind": "compute#metadata", "fingerprint": _print(name)},
            "selfLink": f"{base}/zones/{zone}/instances/{name}",
            "scheduling": {
                "onHostMaintenance": "MIGRATE",
                "automaticRestart": True,
                "preemptible": False,
                "provisioningModel": "STANDARD",
            },
            "cpuPlatform": "Intel Broadwell",
            "labelFingerprint": _print(name),
            "startRestricted": False,
            "deletionProtection": False,
            "fingerprint": _print(name),
        } | more
        self.things[f"projects/{project}/zones/{zone}/instances/{name}"] = instance
        self.projects.setdefault(project, "")
        return instance

    # -- answers

    def answer(self, verb: str, target: str, headers: Any, body: Any) -> Answer:
        parts = urlsplit(target)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        with self._lock:
            self.asked.append(f"{verb} {target}")
            for fault in self.faults:
                if fault.times and re.search(fault.path, path):
                    fault.times -= 1
                    return Answer(fault.status, fault.body, fault.headers)
        if path == "/token":
            return Answer(200, {"access_token": self.new_token(), "expires_in": 3600, "token_type": "Bearer"})
        if path == "/" or path.startswith("/computeMetadata/"):
            return self._metadata(path)
        if (headers.get("Authorization") or "").removeprefix("Bearer ") not in self.tokens:
            return error(401, "Request had invalid authentication credentials.", "authError")
        if path.startswith(COMPUTE):
            return self._checked(document("compute.v1"), verb, path.removeprefix(COMPUTE), query, body)
        return self._checked(document("cloudresourcemanager.v3"), verb, path.removeprefix("/"), query, body)

    def _checked(self, known: Discovery, verb: str, path: str, query: Object, body: Any) -> Answer:
        wrong = known.wrong_request(verb, path, query, body)
        if wrong:
            self.wrong += wrong
            return error(400, "; ".join(wrong), "invalid")
        with self._lock:
            answer = (
                self._manager(path, query)
                if path.startswith("v3/")
                else self._compute(verb, path, query, body)
            )
        if answer.status == 200:
            self.wrong += known.wrong_answer(verb, path, answer.body)
        return answer

    def _metadata(self, path: str) -> Answer:
        flavor = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
        if path.endswith("/token"):
            return Answer(
                200, {"access_token": self.new_token(), "expires_in": 3600, "token_type": "Bearer"}, flavor
            )
        if path.endswith("/service-accounts/default/"):
            found = {"email": "machine@ship.iam.gserviceaccount.com", "scopes": ["x"], "aliases": ["default"]}
            return Answer(200, found, flavor)
        if path.endswith("/project/project-id"):
            return Answer(200, "ship", {**flavor, "Content-Type": "text/plain"})
        return Answer(200, "", {**flavor, "Content-Type": "text/plain"})

    def _manager(self, path: str, query: Object) -> Answer:
        parent = query["parent"].removeprefix("folders/")
        if parent not in {*self.folders, *self.folders.values(), *self.projects.values()}:
            return error(403, "The caller does not have permission", "forbidden")
        if path == "v3/folders":
            inner = sorted(name for name, above in self.folders.items() if above == parent)
            return Answer(200, {"folders": [{"name": f"folders/{one}", "state": "ACTIVE"} for one in inner]})
        found = sorted(name for name, above in self.projects.items() if above == parent)
        start = int(query.get("pageToken", "0"))
        page: Object = {
            "projects": [{"projectId": one, "state": "ACTIVE"} for one in found[start : start + self.page]]
        }
        if start + self.page < len(found):
            page["nextPageToken"] = str(start + self.page)
        return Answer(200, page)

    def _compute(self, verb: str, path: str, query: Object, body: Any) -> Answer:
        project = path.split("/")[1]
        if project not in self.projects:
            return error(404, f"The resource 'projects/{project}' was not found", "notFound")
        if "/operations/" in path:
            return self._operation(path)
        kind, _slash, name = path.rpartition("/")
        if verb == "GET" and name == "getGuestAttributes":
            return self._guest_attributes(kind, query)
        if verb == "GET" and (kind.endswith("aggregated") or not self._is_thing(path)):
            return self._list(path, project, query)
        if verb == "POST" and not self._is_thing(path):
            return self._insert(path, project, body)
        thing = path if verb != "POST" else kind
        if thing not in self.things:
            return error(404, f"The resource '{thing}' was not found", "notFound")
        if verb == "GET":
            return Answer(200, self.things[thing])
        if verb == "DELETE":
            return self._begun(path, "delete", lambda: self.things.pop(path))
        if verb == "PATCH":
            return self._begun(path, "patch", lambda: self.things[path].update(body))
        return self._change(thing, name, body)

    def _guest_attributes(self, thing: str, query: Object) -> Answer:
        """What the guest agent wrote, where the machine's metadata let it."""
        items = {one["key"]: one["value"] for one in self.things[thing]["metadata"].get("items", [])}
        keys = self.host_keys.get(thing.rpartition("/")[2], {})
        if items.get("enable-guest-attributes") != "TRUE" or not keys or query["queryPath"] != "hostkeys/":
            return error(404, f"The resource '{query['queryPath']}' was not found", "notFound")
        told = [{"namespace": "hostkeys", "key": kind, "value": key} for kind, key in keys.items()]
        where = f"{self.url}{COMPUTE}{thing}/getGuestAttributes/"
        answer = {"kind": "compute#guestAttributes", "queryPath": "hostkeys/", "queryValue": {"items": told}}
        return Answer(200, answer | {"selfLink": where})

    @staticmethod
    def _is_thing(path: str) -> bool:
        """Whether a path names one thing (or does something to it), not the list of them."""
        after = re.sub(r"^projects/[^/]+/(global|zones/[^/]+|regions/[^/]+|aggregated)/", "", path)
        return "/" in after

    def _list(self, path: str, project: str, query: Object) -> Answer:
        kind = path.rpartition("/")[2]
        inside = re.compile(
            rf"projects/{project}/.+/{kind}/[^/]+" if "/aggregated/" in path else rf"{path}/[^/]+"
        )
        found = [
            (key, one) for key, one in sorted(self.things.items())
            if inside.fullmatch(key) and _holds(query.get("filter", ""), one)
        ]  # fmt: skip
        size = min(int(query.get("maxResults", 500)), self.page)
        start = int(query.get("pageToken", "0"))
        part = found[start : start + size]
        url = f"{self.url}{COMPUTE}{path}"
        if "/aggregated/" in path:
            scopes: Object = {name: dict(extra) for name, extra in self.scope_extras.items()}
            for key, one in part:
                scope = "/".join(key.split("/")[2:4])
                scopes.setdefault(scope, {}).setdefault(kind, []).append(one)
            listed: Object = {"kind": "compute#instanceAggregatedList", "items": scopes}
        else:
            listed = {"kind": "compute#list", "items": [one for _key, one in part]}
        listed |= {"id": path, "selfLink": url} | self.extras
        if start + size < len(found):
            listed["nextPageToken"] = str(start + size)
        return Answer(200, listed)

    def _insert(self, path: str, project: str, body: Object) -> Answer:
        key = f"{path}/{body['name']}"
        if key in self.things:
            return error(409, f"The resource '{key}' already exists", "alreadyExists")
        if path.endswith("/instances"):
            zone = path.split("/")[3]

            def make() -> None:
                self.add_instance(project, zone, body["name"], **self._instance_fields(body, project, zone))

        else:

            def make() -> None:
                own = {"id": str(self._number()), "selfLink": f"{self.url}{COMPUTE}{key}"}
                if path.endswith("/routes"):
                    own |= {"kind": "compute#route", "routeType": "STATIC"}
                self.things[key] = {**body, **own}

        return self._begun(key, "insert", make)

    def _instance_fields(self, body: Object, project: str, zone: str) -> Object:
        """What the API adds to the parts of an instance that were asked for."""
        fields = {
            name: value for name, value in body.items() if name not in ("disks", "networkInterfaces", "name")
        }
        base = f"{self.url}{COMPUTE}projects/{project}"
        if "machineType" in fields:
            fields["machineType"] = (
                f"{base}/zones/{zone}/machineTypes/{fields['machineType'].rpartition('/')[2]}"
            )
        for part in ("tags", "metadata"):
            if part in fields:
                fields[part] = {**fields[part], "fingerprint": _print(body["name"])}
        number = self._number()
        interfaces = []
        for at, asked in enumerate(body.get("networkInterfaces") or []):
            made = {
                **asked,
                "name": f"nic{at}",
                "networkIP": next(self._addresses, f"10.128.9.{number % 250 + 2}"),
            }
            if "accessConfigs" in asked:
                made["accessConfigs"] = [
                    {**asked["accessConfigs"][0], "natIP": f"203.0.113.{number % 250 + 2}"}
                ]
            interfaces.append(made)
        return fields | {"networkInterfaces": interfaces}

    def _change(self, key: str, action: str, body: Any) -> Answer:
        thing = self.things[key]
        if action in ("start", "resume"):
            if thing["status"] != {"start": "TERMINATED", "resume": "SUSPENDED"}[action]:
                return error(400, f"Instance is {thing['status']}, invalid for {action}", "resourceNotReady")
            return self._begun(key, action, lambda: thing.update(status="RUNNING"))
        wanted = {"setLabels": "labelFingerprint", "setTags": "tags", "setMetadata": "metadata"}[action]
        given = body.get("labelFingerprint") if action == "setLabels" else body.get("fingerprint")
        has = thing.get(wanted) if action == "setLabels" else (thing.get(wanted) or {}).get("fingerprint")
        if given != has:
            return error(
                412, "Labels fingerprint either invalid or resource labels have changed", "conditionNotMet"
            )
        fresh = _print(str(self._number()))
        if action == "setLabels":
            return self._begun(
                key, action, lambda: thing.update(labels=body["labels"], labelFingerprint=fresh)
            )
        return self._begun(key, action, lambda: thing.update({wanted: {**body, "fingerprint": fresh}}))

    def _begun(self, key: str, action: str, act: Any) -> Answer:
        """An operation that has begun; what it does is done when it is waited for, or after a moment."""
        number = self._number()
        scope = "/".join(key.split("/")[: 3 if "/global/" in key else 4])
        path = f"{scope}/operations/operation-{number}"
        operation = {
            "kind": "compute#operation",
            "id": str(number),
            "name": f"operation-{number}",
            "operationType": action,
            "targetLink": f"{self.url}{COMPUTE}{key}",
            "status": "RUNNING",
            "user": "sailor@ship.iam.gserviceaccount.com",
            "progress": 0,
            "insertTime": datetime.now(UTC).isoformat(),
            "selfLink": f"{self.url}{COMPUTE}{path}",
        }
        self.operations[path] = operation
        failed, self.operation_error = self.operation_error, None

        def finish() -> None:
            with self._lock:
                if operation["status"] == "DONE":
                    return
                operation.update(status="DONE", progress=100)
                if failed:
                    operation["error"] = {"errors": [failed]}
                    operation.update(httpErrorStatusCode=403, httpErrorMessage="FORBIDDEN")
                else:
                    act()

        timer = threading.Timer(0.2, finish)
        timer.daemon = True
        timer.start()
        return Answer(200, dict(operation))

    def _operation(self, path: str) -> Answer:
        found = self.operations.get(path.removesuffix("/wait"))
        if found is None:
            return error(404, f"The resource '{path}' was not found", "notFound")
        if path.endswith("/wait"):
            deadline = time.monotonic() + 5
            while found["status"] != "DONE" and time.monotonic() < deadline:
                self._lock.release()
                time.sleep(0.02)
                self._lock.acquire()
        return Answer(200, dict(found))

    def _number(self) -> int:
        with self._lock:
            self._next += 1
            return self._next


class _Handler(BaseHTTPRequestHandler):
    gce: Gce
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length)
        is_json = "json" in (self.headers.get("Content-Type") or "")
        answer = self.gce.answer(
            self.command, self.path, self.headers, json.loads(sent) if sent and is_json else None
        )
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        data = b"" if answer.body is None else body.encode()
        self.send_response(answer.status)
        for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests look at ``asked``."""


def _print(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _holds(expression: str, thing: Object) -> bool:
    """Whether a filter expression holds, of the kind (a = b) (c != d)."""
    return all(_compare(*one, thing) for one in _terms(expression))


def _terms(expression: str) -> Iterator[tuple[str, str, str]]:
    yield from re.findall(r"([\w.-]+)\s*(!=|=)\s*\"?([\w.-]+)\"?", expression)


def _compare(path: str, sign: str, value: str, thing: Any) -> bool:
    for part in path.split("."):
        thing = (thing or {}).get(part)
    return (str(thing) == value) is (sign == "=")
