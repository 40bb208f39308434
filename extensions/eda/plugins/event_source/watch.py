# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Event source navarch.cluster.watch: what happens to objects of the cluster, as events for rulebooks.

Belongs here: list and watch, for as long as the rulebook runs. Not here: where the cluster is and who we are,
and how TLS trusts it: those are the modules' own (``plugins/module_utils``), loaded from beside this file.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import random
import sys
import time
import types
from pathlib import Path
from typing import Any

import aiohttp

DOCUMENTATION = r"""
---
short_description: Receive what happens to objects of a cluster
description:
  - Lists objects of one kind in a Navarch cluster, or in any other cluster that speaks the Kubernetes API,
    and watches them. Each one that comes, changes or goes is an event.
  - A watch that ends or breaks goes on where it was. What happened while the cluster had forgotten too much
    is found by looking at all objects again, so that nothing is missed and nothing comes twice.
  - An event has C(type), one of C(ADDED), C(MODIFIED) and C(DELETED), and C(resource), the object.
options:
  kind:
    description: The kind, as objects write it, such as V(Pod), or its plural or short name.
    type: str
    required: true
  api_version:
    description: Group and version of the API that has the kind. By default all groups are looked through,
      the core first.
    type: str
  namespace:
    description: Namespace to watch. By default all of them.
    type: str
  label_selectors:
    description: Only objects whose labels match all of these selectors. One may stand alone, and a mapping
      asks for labels that are equal.
    type: raw
  field_selectors:
    description: Only objects whose fields match all of these selectors, written in the same ways.
    type: raw
  initial:
    description: Whether the objects that are there at the start are events of type C(ADDED) too.
    type: bool
    default: false
  reveal:
    description: Whether events show what Secrets hold.
    type: bool
    default: false
  kubeconfig:
    description:
      - Path of a kubeconfig file, or its content as a mapping. By default it is looked for as by modules.
      - Environment variable E(K8S_AUTH_KUBECONFIG) is used when this is not set.
    type: raw
  context:
    description:
      - The context of the kubeconfig to use instead of its current one.
      - Environment variable E(K8S_AUTH_CONTEXT) is used when this is not set.
    type: str
  host:
    description:
      - Address of the cluster. It wins over the kubeconfig.
      - Environment variable E(K8S_AUTH_HOST) is used when this is not set.
    type: str
  api_key:
    description:
      - Bearer token.
      - Environment variable E(K8S_AUTH_API_KEY) is used when this is not set.
    type: str
  ca_cert:
    description:
      - Certificate of the authority that signed the cluster's certificate, as a path or as PEM text.
      - Environment variable E(K8S_AUTH_SSL_CA_CERT) is used when this is not set.
    type: str
  client_cert:
    description:
      - Client certificate, as a path or as PEM text.
      - Environment variable E(K8S_AUTH_CERT_FILE) is used when this is not set.
    type: str
  client_key:
    description:
      - Private key of the client certificate, as a path or as PEM text.
      - Environment variable E(K8S_AUTH_KEY_FILE) is used when this is not set.
    type: str
  validate_certs:
    description:
      - Whether the cluster must prove who it is.
      - Environment variable E(K8S_AUTH_VERIFY_SSL) is used when this is not set.
    type: bool
  proxy:
    description:
      - Address of an HTTP proxy to reach the cluster through.
      - Environment variable E(K8S_AUTH_PROXY) is used when this is not set.
    type: str
"""

EXAMPLES = r"""
- name: React to pods that fail
  hosts: localhost
  sources:
    - name: Pods of the shop
      navarch.cluster.watch:
        kind: Pod
        namespace: shop
  rules:
    - name: A pod has failed
      condition: event.type == "MODIFIED" and event.resource.status.phase == "Failed"
      action:
        debug:
          msg: "{{ event.resource.metadata.name }} has failed"
"""

LOG = logging.getLogger(__name__)
CHUNK = 500
WATCH_SECONDS = 300  # after which the cluster ends a watch, so that a dead connection is noticed
LONGEST_PAUSE = 30.0
LASTING = (400, 401, 403, 404, 405, 422)  # what trying again does not mend


def _shared(name: str) -> Any:
    """One of the modules' own files, whether or not this Python knows of collections."""
    package = "navarch_cluster_module_utils"
    if package not in sys.modules:
        made = types.ModuleType(package)
        made.__path__ = [str(Path(__file__).resolve().parents[4] / "plugins" / "module_utils")]
        sys.modules[package] = made
    return importlib.import_module(f"{package}.{name}")


class Refused(Exception):
    """What the cluster says no to, in one line."""


class Away(ValueError):
    """An answer that a later try may not get. ``after``: seconds for which the cluster asks to be left."""

    def __init__(self, said: str, after: float) -> None:
        super().__init__(said)
        self.after = after


class Expired(Exception):
    """The cluster no longer knows what happened since (410)."""


class Watch:
    """One kind of objects, and what was last known of each."""

    def __init__(
        self, queue: asyncio.Queue[Any], args: dict[str, Any], session: aiohttp.ClientSession
    ) -> None:
        self.queue = queue
        self.args = _shared("_module.eda_args").checked(args)
        self.session = session
        self.connection = _shared("_api.kubeconfig").connect_params(self.args)
        self.tls: Any = None
        self.token: str | None = None
        self.credential: Any = None
        self.known: dict[str, dict[str, Any]] = {}
        self.version = ""
        self.path = ""

    async def run(self) -> None:
        """Until it is cancelled, or the cluster refuses."""
        announce, pause = self.args.get("initial", False), 0.0
        while True:
            try:
                if not self.path:
                    self.path = await self._find_path()
                if not self.version:
                    await self._list(announce)
                    announce = True
                pause, began = 0.0, time.monotonic()
                await self._watch()
                if time.monotonic() - began < 0.2:
                    await asyncio.sleep(0.2)  # a server that ends watches at once is not to be hammered
            except Expired:
                self.version = ""
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as problem:
                pause = min(LONGEST_PAUSE, max(0.5, pause * 2, getattr(problem, "after", 0.0)))
                LOG.warning(
                    "watch of %s: %s; trying again", self.args["kind"], problem or type(problem).__name__
                )
                await asyncio.sleep(max(pause * random.uniform(0.5, 1.0), getattr(problem, "after", 0.0)))

    async def _find_path(self) -> str:
        wanted = self.args["kind"]
        versions = [self.args["api_version"]] if self.args.get("api_version") else await self._versions()
        for version in versions:
            root = ("/apis/" if "/" in version else "/api/") + version
            try:
                entries = (await self._ask(root, {})).get("resources") or []
            except Refused:
                if self.args.get("api_version"):
                    raise
                continue
            for entry in entries:
                names = [entry["name"], entry.get("singularName"), *(entry.get("shortNames") or [])]
                if "/" not in entry["name"] and (wanted == entry["kind"] or wanted.lower() in names):
                    self.kind, self.api_version = entry["kind"], version
                    namespace = self.args.get("namespace") if entry.get("namespaced") else None
                    return root + (f"/namespaces/{namespace}" if namespace else "") + "/" + entry["name"]
        raise Refused(f"kind: the cluster has no kind {wanted}")

    async def _versions(self) -> list[str]:
        groups = (await self._ask("/apis", {})).get("groups") or []
        return ["v1"] + [group["preferredVersion"]["groupVersion"] for group in groups]

    async def _list(self, announce: bool) -> None:
        """All objects as they are now. What differs from what was known is told when ``announce`` is set."""
        query: dict[str, str] = {"limit": str(CHUNK)}
        there: dict[str, dict[str, Any]] = {}
        while True:
            page = await self._ask(self.path, query)
            for item in page.get("items") or []:
                item.setdefault("kind", self.kind)
                item.setdefault("apiVersion", self.api_version)
                there[item["metadata"]["uid"]] = item
            following = page["metadata"].get("continue")
            if not following:
                break
            query["continue"] = following
        if announce:
            for uid in [uid for uid in self.known if uid not in there]:
                await self._tell("DELETED", self.known[uid])
            for uid, item in there.items():
                before = self.known.get(uid)
                if before is None:
                    await self._tell("ADDED", item)
                elif before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                    await self._tell("MODIFIED", item)
        self.known = {uid: _stub(item) for uid, item in there.items()}
        self.version = str(page["metadata"]["resourceVersion"])

    async def _watch(self) -> None:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self.version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with await self._get(self.path, query, WATCH_SECONDS + 30) as answer:
            await self._check(answer)
            async for line in _lines(answer.content):
                event = json.loads(line)
                item = event["object"]
                if event["type"] == "ERROR":
                    if item.get("code") == 410:
                        raise Expired
                    raise ValueError(str(item.get("message")))
                self.version = str(item["metadata"]["resourceVersion"])
                if event["type"] == "BOOKMARK":
                    continue
                uid = item["metadata"]["uid"]
                if event["type"] == "DELETED":
                    self.known.pop(uid, None)
                else:
                    self.known[uid] = _stub(item)
                await self._tell(event["type"], item)

    async def _tell(self, happened: str, item: dict[str, Any]) -> None:
        shown = item if self.args.get("reveal") else _shared("_resources.redaction").without_secrets(item)
        await self.queue.put({"type": happened, "resource": shown})

    async def _ask(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        async with await self._get(path, query, 60) as answer:
            await self._check(answer)
            found = await answer.json(content_type=None)
        if not isinstance(found, dict):
            raise ValueError(f"{self.connection.server} answers with something that is no API object")
        return found

    def _log_in(self) -> None:
        """Whom to trust and who we are, which a kubeconfig may have from a program or an OpenID provider."""
        transport, held = _shared("_api.transport"), _shared("_api.credentials").current(self.connection)
        if self.tls is None or held is not self.credential:
            self.tls, self.credential = transport.ssl_context(self.connection, held), held
        self.token = transport.bearer(self.connection, held)

    async def _get(self, path: str, query: dict[str, str], seconds: float) -> Any:
        await asyncio.to_thread(self._log_in)
        answer = await self._send(path, query, seconds)
        if answer.status == 401:
            renewed = await asyncio.to_thread(
                _shared("_api.credentials").renew, self.connection, self.credential
            )
            if renewed:
                answer.release()
                await asyncio.to_thread(self._log_in)
                answer = await self._send(path, query, seconds)
        return answer

    async def _send(self, path: str, query: dict[str, str], seconds: float) -> Any:
        asked = dict(query)
        for option, name in (("label_selectors", "labelSelector"), ("field_selectors", "fieldSelector")):
            if self.args.get(option) and path == self.path:
                asked[name] = ",".join(self.args[option])
        connection = self.connection
        headers = {"Accept": "application/json", "User-Agent": "navarch.cluster"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        login = connection.username and connection.password and not self.token
        return await self.session.get(
            connection.server + path,
            params=asked,
            headers=headers,
            auth=aiohttp.BasicAuth(connection.username, connection.password) if login else None,
            ssl=self.tls,
            server_hostname=connection.server_name,
            proxy=connection.proxy,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=seconds),
        )

    async def _check(self, answer: Any) -> None:
        if answer.status == 200:
            return
        try:
            said = (await answer.json(content_type=None)).get("message")
        except (ValueError, AttributeError):
            said = None
        if answer.status == 410:
            raise Expired
        line = f"the cluster answered {answer.status} at {answer.url.path}: {said or answer.reason}"
        if answer.status in LASTING:
            raise Refused(line)
        after = answer.headers.get("Retry-After") or ""
        raise Away(line, min(LONGEST_PAUSE, float(after)) if after.isdigit() else 0.0)


async def _lines(content: aiohttp.StreamReader) -> Any:
    """The lines of a stream, however long they are."""
    rest = b""
    async for part in content.iter_any():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            if line.strip():
                yield line


def _stub(item: dict[str, Any]) -> dict[str, Any]:
    """What has to be known of an object to tell later that it has changed or gone."""
    kept = ("name", "namespace", "uid", "resourceVersion", "labels")
    metadata = {key: item["metadata"][key] for key in kept if key in item["metadata"]}
    return {"apiVersion": item.get("apiVersion"), "kind": item.get("kind"), "metadata": metadata}


async def main(queue: asyncio.Queue[Any], args: dict[str, Any]) -> None:
    """What ansible-rulebook runs."""
    async with aiohttp.ClientSession() as session:
        try:
            await Watch(queue, args, session).run()
        except (Refused, _shared("_api.errors").ClusterError) as problem:
            raise RuntimeError(f"navarch.cluster.watch: {problem}") from None
