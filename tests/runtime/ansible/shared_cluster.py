# SPDX-License-Identifier: GPL-3.0-or-later
"""One control plane for many files of tests: after each, it is as it was before."""

from __future__ import annotations

import contextlib
import time
import urllib.error
from pathlib import Path
from typing import Any

from ansible_support import control_plane, request

Item = dict[str, Any]
NODES = 3
SECONDS = 20
#: What tells of others: it goes with them or by itself.
PASSING = {"events", "leases", "endpoints", "endpointslices"}
NOW = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}


class SharedCluster:
    """A control plane with simulated nodes, which starts with its first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = contextlib.ExitStack()
        self._kubeconfig = ""
        self._before: dict[str, Item] = {}
        self._count = 0

    def start(self) -> str:
        """The kubeconfig of a cluster that holds nothing of other tests."""
        if not self._kubeconfig:
            self._count += 1
            folder = self._folder / str(self._count)
            folder.mkdir()
            self._kubeconfig = self._running.enter_context(control_plane(folder, NODES))
            self._before = self._items()
        return self._kubeconfig

    def put_back(self) -> None:
        """Deletes what has come and changes back what has changed. Where that is not done soon, as something
        holds it or a node has gone, the cluster ends, and the next use starts another.
        """
        deadline = time.monotonic() + SECONDS
        while new := self._new(now := self._items()):
            if time.monotonic() >= deadline:
                return self.close()
            for path in new:
                self._send("DELETE", path, NOW)
        if self._before.keys() - now.keys():
            return self.close()
        for path, item in self._before.items():
            if patch := _undo(_lasting(now[path]), _lasting(item)):
                self._send("PATCH", path, patch)
        return None

    def close(self) -> None:
        self._running.close()
        self._kubeconfig = ""

    def _new(self, now: dict[str, Item]) -> list[str]:
        uids = {item["metadata"]["uid"] for item in self._before.values()}
        return [path for path, item in now.items() if item["metadata"]["uid"] not in uids]

    def _send(self, verb: str, path: str, body: Any) -> None:
        with contextlib.suppress(urllib.error.HTTPError):  # it has gone, or another look finds it again
            request(self._kubeconfig, verb, path, body)

    def _items(self) -> dict[str, Item]:
        """Every object of the cluster, by its address."""
        found = {}
        groups = request(self._kubeconfig, "GET", "/apis")["groups"]
        roots = ["/api/v1", *("/apis/" + group["preferredVersion"]["groupVersion"] for group in groups)]
        for root in roots:
            for kind in request(self._kubeconfig, "GET", root)["resources"]:
                name = kind["name"]
                if "/" in name or name in PASSING or not {"list", "delete"} <= set(kind["verbs"]):
                    continue
                for item in request(self._kubeconfig, "GET", f"{root}/{name}")["items"]:
                    metadata = item["metadata"]
                    within = f"/namespaces/{metadata['namespace']}" if kind["namespaced"] else ""
                    found[f"{root}{within}/{name}/{metadata['name']}"] = item
        return found


def _lasting(item: Item) -> Item:
    """What of an object tests change, and nobody else does."""
    kept = {key: item["metadata"].get(key, {}) for key in ("labels", "annotations")}
    return {"metadata": kept, **{key: item.get(key, {}) for key in ("spec", "data")}}


def _undo(now: Item, before: Item) -> Item:
    """The merge patch that makes ``before`` of ``now``."""
    patch: Item = dict.fromkeys(now.keys() - before.keys())
    for key, value in before.items():
        if key not in now or now[key] != value:
            mappings = isinstance(value, dict) and isinstance(now.get(key), dict)
            patch[key] = _undo(now[key], value) if mappings else value
    return patch
