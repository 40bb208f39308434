# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bringing many objects to the state that one task asks for, several at a time.

Belongs here: order, concurrency, and a result that says what became of each object. Not here: how one object
is compared and changed (``present``), and how manifests are read (``manifest_loading``).
"""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .._api.client import Client, Kind
from .._api.discovery import UnknownKind, forget, kind_of
from .._api.errors import ClusterError, OptionError, StatusError
from .._pods.state import Steady
from .._wait.readiness import Waited, until_gone, until_ready, wait_for_all
from . import last_applied
from .applysets import KEPT, ApplySet, Place, identity
from .manifest_loading import in_order, rank
from .manifest_validation import called
from .present import Outcome, absent, clean, definition, everything_mutable, present
from .redaction import without_secrets
from .rollout import changes_template
from .rollout import warning as rollout_warning
from .server_writes import applied, generated, patched, patches_of

Object = t.Dict[str, t.Any]
THREADS = 8
LIST_FROM = 10  # so many objects of a kind in a namespace are read by one list
#: Metadata that is the cluster's own. A namespace is given back where the kind has one.
_CLUSTERS = frozenset(
    (
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    )
)
NEW_KIND_SECONDS = 10  # how long a kind may take to appear after its definition was sent


class StrictClient(Client):
    """The same client, of which the API refuses fields that it does not know, as kubectl asks it to. Clusters
    that are too old for that drop them as ever.
    """

    def __init__(self, client: Client) -> None:
        self.__dict__.update(client.__dict__)

    def _json(self, verb: str, path: str, **send: t.Any) -> Object:
        if verb in ("POST", "PATCH"):
            send["query"] = dict(send.get("query") or {}, fieldValidation="Strict")
        return super()._json(verb, path, **send)


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
    waited: Waited | None = None
    refused: bool = False  # by the API or by us: it is surely as it was
    surplus: bool = False  # in the cluster's set, and not in the task

    @property
    def name(self) -> str:
        if self.outcome is not None:
            return self.outcome.name
        return called(self.asked["metadata"])

    @property
    def generated(self) -> bool:
        """Whether the cluster is to make its name."""
        return not self.asked["metadata"].get("name")

    def title(self) -> str:
        place = "%s/%s" % (self.namespace, self.name) if self.namespace else self.name
        return "%s %s" % (self.asked["kind"], place)

    def result(self) -> Object:
        live = self.outcome.live if self.outcome else None
        if live is not None and self.waited is not None and self.waited.kind == self.kind:
            live = self.waited.found or live
        made = {
            "api_version": self.asked["apiVersion"],
            "kind": self.asked["kind"],
            "name": self.name,
            "namespace": self.namespace,
            "action": self.action,
            "changed": self.changed,
            "object": without_secrets(live),
        }
        if self.outcome and self.outcome.differing:
            made["differs"] = [".".join(path) for path in self.outcome.differing]
        return dict(made, error=self.error) if self.error else made


class Task:
    """Some objects, one wanted state."""

    def __init__(self, client: Client, params: t.Mapping[str, t.Any], objects: t.Sequence[Object]) -> None:
        self.client = StrictClient(client)
        self.state: str = params["state"]
        self.namespace: str = params["namespace"]
        self.wait: bool = params["wait"] and not client.dry_run
        self.patient: bool = params["wait_unschedulable"]
        self.min_ready: int = params["min_ready_seconds"]
        self.condition: t.Mapping[str, t.Any] | None = params["wait_condition"]
        self.timeout: float = params["wait_timeout"]
        self.deadline = time.monotonic() + self.timeout
        self.set = ApplySet(client, params["set"], self.namespace) if params["set"] is not None else None
        self.places_before = set(self.set.before) if self.set else set()
        self.prune: bool = params["prune"]
        self.patches = patches_of(params["patches"]) if params["patches"] is not None else None
        self.apply: t.Mapping[str, t.Any] | None = params["server_side_apply"]
        _hold_ways(params, objects)
        if self.prune and self.state == "present" and not objects:
            raise OptionError("prune", "no object is left, so all would be deleted: state=absent does that")
        groups = in_order(objects, backwards=self.state == "absent")
        self.groups = [[Item(asked) for asked in group] for group in groups]
        self.items = [item for group in self.groups for item in group]
        self.recorded = False
        self.trouble: ClusterError | None = None  # with the set as a whole
        self.warnings: set[str] = set()
        self.kept: set[Place] = set()  # where members are that a set does not delete
        self.announced = {
            str(((asked.get("spec") or {}).get("names") or {}).get("kind"))
            for asked in objects
            if asked["kind"] == "CustomResourceDefinition"
        }

    def run(self) -> Object:
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            try:
                self._run(pool)
                if self.recorded and self._failed():
                    self._take_back(t.cast(ApplySet, self.set))
            except ClusterError as problem:
                self.trouble = problem
        return self._result()

    def _run(self, pool: ThreadPoolExecutor) -> None:
        for group in self.groups:
            self._resolve(group)
            if self.set and self.state == "present" and rank(group[0].asked) > 1:
                self._record(self.set, keep=True)
            self._work(group, pool)
            if self._failed():
                return
        if self.wait:
            self._wait([item for item in self.items if self._served_last(item)])
        if self.state == "present" and not self._failed():
            self._warn_of_old_pods()
        if self.set and not self._failed():
            self._settle(self.set, pool)

    def _work(self, group: list[Item], pool: ThreadPoolExecutor) -> None:
        self._read(group, pool)
        list(pool.map(self._one, group))
        if self.wait and not self._failed():
            self._wait([item for item in group if not self._served_last(item)])

    def _warn_of_old_pods(self) -> None:
        """A replication controller leaves pods as they are when its template changes."""
        for item in self.items:
            outcome, kind = item.outcome, item.kind
            if not (outcome and outcome.before and outcome.live and kind):
                continue
            asked = self.wait or changes_template(outcome.differing)
            if asked and (kind.api_version, kind.kind) == ("v1", "ReplicationController"):
                self.warnings.update(rollout_warning(self.client, outcome.live))

    def _served_last(self, item: Item) -> bool:
        """Whether to wait for it when all else is there: a service is made before the pods that serve it."""
        return self.state == "present" and not item.surplus and item.asked["kind"] == "Service"

    # -- sets

    def _places(self) -> set[Place]:
        """Where this task has members of its set."""
        return self._places_of(self.items) | self.kept

    def _places_of(self, items: t.Sequence[Item]) -> set[Place]:
        return {(i.kind.api_version, i.kind.kind, i.namespace) for i in items if i.kind and not i.surplus}

    def _record(self, members: ApplySet, keep: bool) -> None:
        """Writes down where members are, before they are there: what is not known is never found again."""
        before = set(members.before) if keep else set()
        if self.client.dry_run or (keep and members.current and self._places() <= before):
            return
        self.recorded = members.write(self._places() | before) or self.recorded

    def _take_back(self, members: ApplySet) -> None:
        """The record as it was before, if all that is new in it was refused."""
        tried = [item for item in self.items if not item.refused and item.action != "not tried"]
        if self._places_of(tried) <= self.places_before:
            members.write(self.places_before)
            self.recorded = False

    def _settle(self, members: ApplySet, pool: ThreadPoolExecutor) -> None:
        """The set without what it shall no longer have."""
        if not self.prune:
            if self.state == "present":
                self._record(members, keep=True)
            return
        surplus = self._surplus(members)
        self.items += surplus
        self.warnings.update(members.warnings)
        for rank_of in sorted({rank(item.asked) for item in surplus}, reverse=True):
            self._work([item for item in surplus if rank(item.asked) == rank_of], pool)
        if not self._failed() and not self.client.dry_run:
            gone = self.state == "absent"
            self.recorded = members.write(self.kept if gone else self._places()) or self.recorded

    def _surplus(self, members: ApplySet) -> list[Item]:
        known = {
            (item.kind.api_version.rpartition("/")[0], item.kind.kind, item.namespace, item.name)
            for item in self.items
            if item.kind is not None
        }
        found = []
        for kind, live in members.surplus(self._places() | set(members.before), known):
            if identity(kind, live) in known or live["metadata"].get("deletionTimestamp"):
                continue
            known.add(identity(kind, live))
            place = live["metadata"].get("namespace")
            item = Item(live, kind, place, seen=(live,), surplus=True)
            if kind.kind in KEPT:
                self.warnings.add(
                    "%s is left: a set never deletes a %s by itself" % (item.title(), kind.kind)
                )
                self.kept.add((kind.api_version, kind.kind, place))
                continue
            found.append(item)
        return found

    # -- objects

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
                kind = kind_of(self.client, asked["kind"], asked["apiVersion"])
                if kind.kind != asked["kind"]:  # what knows kinds by name, as of Secrets, would pass it over
                    raise OptionError("kind", "%s is called %s" % (asked["kind"], kind.kind))
                return kind
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
            if item.kind is not None and not item.seen and not item.generated:
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
            item.action, item.error = "failed", _told(problem)
            item.changed = bool(problem.details.get("changed"))
            item.refused = _is_refusal(problem)

    def _bring(self, item: Item) -> None:
        if item.kind is None:
            created = self.state == "present"
            item.action, item.changed = ("created", True) if created else ("unchanged", False)
            item.diff = _diff(item, {}, clean(item.asked) if created else {})
            return
        left = max(1.0, self.deadline - time.monotonic())
        if self.state == "absent" or item.surplus:
            outcome = absent(
                self.client, item.kind, item.namespace, item.name, None, False, left, seen=item.seen
            )
        elif self.patches is not None:
            name = item.name
            outcome = patched(self.client, item.kind, item.namespace, name, self.patches, self._live(item))
        elif item.generated or self.apply is not None:
            outcome = self._by_server(item, item.kind)
        else:
            asked = last_applied.recorded(self._complete(item, item.kind))
            if not last_applied.is_recorded(asked):
                self.warnings.add(
                    "%s is too large to be recorded: what its manifest names no more will stay" % item.title()
                )
            outcome = present(
                self.client,
                item.kind,
                asked,
                everything_mutable,
                timeout=left,
                seen=item.seen,
                wanted=lambda aim, live: self._wanted(item, aim, live),
            )
        item.outcome = outcome
        found = outcome.result("object")
        item.changed = found["changed"]
        item.action = _action(outcome, item.changed)
        if self.patches is not None and item.changed:
            item.action = "changed"  # also where in check mode it is not there yet
        item.diff = _diff(item, found["diff"]["before"], found["diff"]["after"])

    def _complete(self, item: Item, kind: Kind) -> Object:
        """The object as it is sent: without what only the cluster writes, which exports have."""
        asked = {key: value for key, value in item.asked.items() if key != "status"}
        metadata = {key: value for key, value in asked["metadata"].items() if key not in _CLUSTERS}
        asked.update(definition(kind, item.name, item.namespace, metadata, None))
        if item.generated:
            asked["metadata"].pop("name")
        return self.set.label(asked) if self.set else asked

    def _live(self, item: Item) -> Object | None:
        """The object as the cluster has it."""
        kind = t.cast(Kind, item.kind)
        return item.seen[0] if item.seen else self.client.get(kind, item.namespace, item.name)

    def _by_server(self, item: Item, kind: Kind) -> Outcome:
        """Server-side apply, or an object whose name the cluster makes."""
        asked = self._complete(item, kind)
        if item.generated:
            return generated(self.client, kind, asked)
        how, live = t.cast("t.Mapping[str, t.Any]", self.apply), self._live(item)
        if live is not None:
            self._hold_own(item, live)
        return applied(self.client, kind, asked, how["field_manager"], how["force_conflicts"], live)

    def _wanted(self, item: Item, asked: Object, live: Object) -> Object:
        self._hold_own(item, live)
        if self.set:
            asked = self.set.without_old(asked, live)
        return last_applied.wanted(asked, live)

    def _hold_own(self, item: Item, live: Object) -> None:
        other = self.set.other(live) if self.set else None
        if other:
            raise OptionError("set", "%s belongs to the set %s" % (item.title(), other))

    def _wait(self, group: list[Item]) -> None:
        for item in group:
            outcome, kind = item.outcome, item.kind
            if outcome is None or kind is None:
                continue
            if self.state == "absent" or item.surplus:
                if outcome.before is not None:
                    item.waited = until_gone(kind, item.namespace, outcome.before)
            elif outcome.live is not None:
                item.waited = until_ready(
                    kind,
                    item.namespace,
                    outcome.live,
                    self.condition,
                    self.patient,
                    Steady(self.min_ready, self.client.now),
                )
        waited = [item.waited for item in group if item.waited]
        wait_for_all(self.client, waited, self.deadline - time.monotonic())
        for item in group:
            item.error = item.waited.error if item.waited else None

    def _result(self) -> Object:
        counts: dict[str, int] = {}
        for item in self.items:
            counts[item.action] = counts.get(item.action, 0) + 1
        result: Object = {
            "changed": self.recorded or any(item.changed for item in self.items),
            "objects": [item.result() for item in self.items],
            "counts": counts,
            "diff": [item.diff for item in self.items if item.changed and item.diff],
        }
        warnings = self.warnings.union(*(item.outcome.warnings for item in self.items if item.outcome))
        if warnings:
            result["warnings"] = sorted(warnings)
        failed = self._failed()
        if self.trouble and not failed:
            raise ClusterError(str(self.trouble), result=result)
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


def _hold_ways(params: t.Mapping[str, t.Any], objects: t.Sequence[Object]) -> None:
    """Options of which one is about how objects are written and the other about something else."""
    ways = [option for option in ("patches", "server_side_apply") if params[option] is not None]
    if ways and params["state"] == "absent":
        raise OptionError(ways[0], "goes with state=present alone")
    if params["patches"] is not None and params["set"] is not None:
        raise OptionError("patches", "changes objects that are there, and set is about what there shall be")
    for item in objects:
        if not item["metadata"].get("name") and (ways or params["state"] == "absent"):
            said = "%s needs metadata.name with %s" % (item["kind"], ways[0] if ways else "state=absent")
            raise OptionError("definition", said)


def _is_refusal(problem: ClusterError) -> bool:
    return isinstance(problem, OptionError) or (isinstance(problem, StatusError) and problem.code < 500)


def _told(problem: ClusterError) -> str:
    """Unknown fields make what is created a 400, and what is patched a 422."""
    said = problem.said if isinstance(problem, StatusError) and problem.code in (400, 422) else ""
    return said.partition("strict decoding error: ")[2] or str(problem)


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
