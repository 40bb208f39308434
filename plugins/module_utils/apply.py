# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bringing many objects to the state that one task asks for, several at a time.

Belongs here: order, concurrency, and a result that says what became of each object. Not here: how one object
is compared and changed (``resource``), and how manifests are read (``documents``).
"""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .client import Client, Kind
from .discovery import UnknownKind, forget, kind_of
from .documents import in_order, without_secrets
from .errors import ClusterError
from .resource import Outcome, absent, clean, definition, everything_mutable, present
from .wait import controller_ready, gone, pod_reaches

Object = t.Dict[str, t.Any]
THREADS = 8
LIST_FROM = 10  # so many objects of a kind in a namespace are read by one list
NEW_KIND_SECONDS = 10  # how long a kind may take to appear after its definition was sent


@dataclass
class Item:
    """One object of the task and what became of it."""

    asked: Object
    kind: Kind | None = None
    namespace: str | None = None
    outcome: Outcome | None = None
    seen: tuple[Object | None, ...] = ()
    error: str | None = None
    changed: bool = False
    action: str = "not tried"
    diff: Object = field(default_factory=dict)
    ready: Object | None = None

    @property
    def name(self) -> str:
        return str(self.asked["metadata"]["name"])

    def title(self) -> str:
        place = "%s/%s" % (self.namespace, self.name) if self.namespace else self.name
        return "%s %s" % (self.asked["kind"], place)

    def result(self) -> Object:
        live = self.ready or (self.outcome.live if self.outcome else None)
        made = {
            "api_version": self.asked["apiVersion"],
            "kind": self.asked["kind"],
            "name": self.name,
            "namespace": self.namespace,
            "action": self.action,
            "changed": self.changed,
            "object": without_secrets(live),
        }
        return dict(made, error=self.error) if self.error else made


class Task:
    """Some objects, one wanted state."""

    def __init__(self, client: Client, params: t.Mapping[str, t.Any], objects: t.Sequence[Object]) -> None:
        self.client = client
        self.state: str = params["state"]
        self.namespace: str = params["namespace"]
        self.wait: bool = params["wait"] and not client.dry_run
        self.timeout: float = params["wait_timeout"]
        self.deadline = time.monotonic() + self.timeout
        groups = in_order(objects, backwards=self.state == "absent")
        self.groups = [[Item(asked) for asked in group] for group in groups]
        self.items = [item for group in self.groups for item in group]
        self.announced = {
            str(((asked.get("spec") or {}).get("names") or {}).get("kind"))
            for asked in objects
            if asked["kind"] == "CustomResourceDefinition"
        }

    def run(self) -> Object:
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            for group in self.groups:
                self._resolve(group)
                self._read(group, pool)
                list(pool.map(self._one, group))
                if self.wait and not self._failed():
                    list(pool.map(self._wait, group))
                if self._failed():
                    break
        return self._result()

    def _failed(self) -> list[Item]:
        return [item for item in self.items if item.error]

    def _resolve(self, group: list[Item]) -> None:
        for item in group:
            try:
                item.kind = self._kind(item.asked)
                if item.kind is not None and item.kind.namespaced:
                    item.namespace = item.asked["metadata"].get("namespace") or self.namespace
            except ClusterError as problem:
                item.action, item.error = "failed", str(problem)

    def _kind(self, asked: Object) -> Kind | None:
        """The kind of an object; None in check mode when it is yet to come, and for what cannot be there."""
        announced = asked["kind"] in self.announced
        deadline = time.monotonic() + NEW_KIND_SECONDS
        while True:
            try:
                return kind_of(self.client, asked["kind"], asked["apiVersion"])
            except UnknownKind:
                if self.state == "absent" or (announced and self.client.dry_run):
                    return None
                if not announced or time.monotonic() > deadline:
                    raise
                forget(self.client)
                time.sleep(0.2)

    def _read(self, group: list[Item], pool: ThreadPoolExecutor) -> None:
        """Reads what is there, where one list costs less than many single reads."""
        sets: dict[tuple[Kind, str | None], list[Item]] = {}
        for item in group:
            if item.kind is not None:
                sets.setdefault((item.kind, item.namespace), []).append(item)
        many = [(key, items) for key, items in sets.items() if len(items) >= LIST_FROM]

        def read(part: tuple[tuple[Kind, str | None], list[Item]]) -> None:
            (kind, namespace), items = part
            try:
                there = {found["metadata"]["name"]: found for found in self.client.list(kind, namespace)[0]}
            except ClusterError:
                return  # who may not list may still read and write each of them
            for item in items:
                item.seen = (there.get(item.name),)

        list(pool.map(read, many))

    def _one(self, item: Item) -> None:
        if item.error:
            return
        try:
            self._bring(item)
        except ClusterError as problem:
            item.action, item.error = "failed", str(problem)
            item.changed = bool(problem.details.get("changed"))

    def _bring(self, item: Item) -> None:
        if item.kind is None:
            created = self.state == "present"
            item.action, item.changed = ("created", True) if created else ("unchanged", False)
            item.diff = _diff(item, {}, clean(item.asked) if created else {})
            return
        left = max(1.0, self.deadline - time.monotonic())
        if self.state == "absent":
            if item.seen and item.seen[0] is None:
                outcome = Outcome(item.kind, item.namespace, item.name, None, None)
            else:
                outcome = absent(self.client, item.kind, item.namespace, item.name, None, False, left)
        else:
            asked = self._complete(item, item.kind)
            outcome = present(self.client, item.kind, asked, everything_mutable, timeout=left, seen=item.seen)
        item.outcome = outcome
        found = outcome.result("object")
        item.changed = found["changed"]
        item.action = _action(outcome, item.changed)
        item.diff = _diff(item, found["diff"]["before"], found["diff"]["after"])

    def _complete(self, item: Item, kind: Kind) -> Object:
        asked = {key: value for key, value in item.asked.items() if key != "status"}
        return dict(asked, **definition(kind, item.name, item.namespace, asked["metadata"], None))

    def _wait(self, item: Item) -> None:
        outcome, kind = item.outcome, item.kind
        if outcome is None or kind is None:
            return
        left = max(1.0, self.deadline - time.monotonic())
        try:
            if self.state == "absent":
                if outcome.before is not None:
                    gone(self.client, kind, outcome.before, self.deadline)
            elif outcome.live is not None and item.namespace and kind.api_version == "v1":
                if kind.kind == "Pod":
                    item.ready = pod_reaches(self.client, item.namespace, item.name, "Ready", left)
                elif kind.kind == "ReplicationController":
                    item.ready = controller_ready(self.client, outcome.live, left)
        except ClusterError as problem:
            item.error = str(problem)

    def _result(self) -> Object:
        counts: dict[str, int] = {}
        for item in self.items:
            counts[item.action] = counts.get(item.action, 0) + 1
        result: Object = {
            "changed": any(item.changed for item in self.items),
            "objects": [item.result() for item in self.items],
            "counts": counts,
            "diff": [item.diff for item in self.items if item.changed and item.diff],
        }
        warnings = {text for item in self.items if item.outcome for text in item.outcome.warnings}
        if warnings:
            result["warnings"] = sorted(warnings)
        failed = self._failed()
        if failed:
            said = "; ".join("%s: %s" % (item.title(), item.error) for item in failed[:5])
            more = " (and %d more)" % (len(failed) - 5) if len(failed) > 5 else ""
            done = ", ".join("%d %s" % (counts[key], key) for key in sorted(counts) if key != "failed")
            summary = "%d of %d objects failed%s: %s%s" % (
                len(failed),
                len(self.items),
                " (%s)" % done if done else "",
                said,
                more,
            )
            raise ClusterError(summary, result=result)
        return result


def _action(outcome: Outcome, changed: bool) -> str:
    if not changed:
        return "unchanged"
    if outcome.recreated:
        return "recreated"
    if outcome.before is None:
        return "created"
    return "deleted" if outcome.live is None else "changed"


def _diff(item: Item, before: Object, after: Object) -> Object:
    return {
        "before": without_secrets(before),
        "after": without_secrets(after, before),
        "before_header": item.title(),
        "after_header": item.title(),
    }
