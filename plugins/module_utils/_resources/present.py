# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bringing one object to the state that a task asks for.

Belongs here: present and absent for any kind, their result and diff. Not here: what a kind's fields mean, and
waiting for more than an object's end (``_wait.waiting``). ``changed`` and the diff come from the same two
objects, so that they agree. In check mode the client only tries its writes, so the API validates them and the
code is the same.
"""

from __future__ import annotations

import time
import typing as t

from .._api.client import Client, Kind
from .._api.errors import ClusterError, MaybeDone, StatusError
from .._wait.waiting import gone
from .diff import Path, differences, merge_patch, plain_patch
from .last_applied import shown

Object = t.Dict[str, t.Any]
_NOISE = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
    "deletionGracePeriodSeconds",
)
_TRIES = 5


class Outcome:
    """What became of one object: ``live`` is it as the API last had it, None when there is none."""

    def __init__(
        self, kind: Kind, namespace: str | None, name: str, before: Object | None, live: Object | None
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.before = before
        self.live = live
        self.recreated = False
        self.differing: list[Path] = []  # where an object that was there was not as asked
        self.replaced: dict[str, list[str]] = {}  # pods that make way for new ones, and where they differ
        self.warnings: list[str] = []

    def result(self, key: str) -> dict[str, t.Any]:
        """The result of a module, with the object under ``key``."""
        before, after = clean(self.before), clean(self.live)
        title = "%s %s" % (self.kind.kind, "/".join(p for p in (self.namespace, self.name) if p))
        result: dict[str, t.Any] = {
            "changed": self.recreated or before != after or bool(self.replaced),
            "diff": {"before": before, "after": after, "before_header": title, "after_header": title},
            key: self.live,
        }
        if self.replaced:
            header = "pods of %s" % title
            pods = {"before": self.replaced, "after": {}, "before_header": header, "after_header": header}
            result["diff"] = [result["diff"], pods]
        if self.warnings:
            result["warnings"] = self.warnings
        return result

    def finish(self, key: str, wait: t.Callable[[Object], Object] | None) -> dict[str, t.Any]:
        """The result after waiting. A wait that fails does not hide that something was changed."""
        result = self.result(key)
        if wait is not None and self.live is not None:
            try:
                result[key] = wait(self.live)
            except ClusterError as problem:
                problem.details["changed"] = result["changed"]
                raise
        return result


class Immutable(ClusterError):
    """What is asked for needs a new object. ``fields`` are the options that differ."""

    def __init__(self, kind: Kind, name: str, fields: t.Sequence[str]) -> None:
        super().__init__(
            "%s %s exists and these options cannot be changed on it: %s (recreate: true replaces it)"
            % (kind.kind, name, ", ".join(fields))
        )


def everything_mutable(differing: list[Path], asked: Object, live: Object) -> list[str]:
    """For kinds of which the API lets everything be changed that modules offer."""
    return []


def clean(live: Object | None) -> Object:
    """An object without what the server alone writes: what a diff shows."""
    if live is None:
        return {}
    kept = {key: value for key, value in live.items() if key != "status"}
    kept["metadata"] = shown({key: value for key, value in live["metadata"].items() if key not in _NOISE})
    return kept


def definition(
    kind: Kind, name: str, namespace: str | None, metadata: Object, spec: Object | None, **more: t.Any
) -> Object:
    identity = dict(metadata, name=name)
    if kind.namespaced:
        identity["namespace"] = namespace
    made = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": identity}
    return dict(made, **more) if spec is None else dict(made, spec=spec, **more)


def without_nulls(value: t.Any) -> t.Any:
    """What is sent to be created: null takes away what is there, and there is nothing yet."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def present(
    client: Client,
    kind: Kind,
    asked: Object,
    immutable: t.Callable[[list[Path], Object, Object], list[str]],
    recreate: bool = False,
    timeout: float = 120,
    seen: t.Sequence[Object | None] = (),
    wanted: t.Callable[[Object, Object], Object] | None = None,
) -> Outcome:
    """Makes the object exist as asked: created, patched where it differs, or with ``recreate`` replaced.

    ``immutable`` says which of the differing paths no patch can change, as names of options. ``seen`` is the
    object (or None) as somebody has just read it, to spare reading it once more. ``wanted`` (asked, live) is
    what to compare an existing object with, where that is more than what is asked for.
    """
    name, namespace = asked["metadata"]["name"], asked["metadata"].get("namespace")
    deadline = time.monotonic() + timeout
    lost = _Lost()
    for attempt in range(_TRIES):
        live = seen[0] if seen and attempt == 0 else client.get(kind, namespace, name)
        try:
            if live is not None and live["metadata"].get("deletionTimestamp"):
                lost.recreated = True
                return lost.outcome(_after_deletion(client, kind, asked, live, deadline))
            if live is None:
                return lost.outcome(_create(client, kind, asked))
            aim = wanted(asked, live) if wanted else asked
            differing = differences(aim, live)
            if not differing:
                return lost.outcome(Outcome(kind, namespace, name, None if lost.created else live, live))
            fixed = immutable(differing, asked, live)
            if not fixed:
                patch = merge_patch(aim, live) if kind.strategic else plain_patch(aim, live)
                outcome = Outcome(kind, namespace, name, live, client.patch(kind, namespace, name, patch))
                outcome.differing = differing
                return outcome
            if not recreate:
                raise Immutable(kind, name, fixed)
            lost.before, lost.recreated = live, True
            return lost.outcome(_recreate(client, kind, asked, live, deadline))
        except MaybeDone:
            if attempt == _TRIES - 1:
                raise
            lost.created = True  # or not: look again
        except StatusError as problem:
            if problem.code == 409 or (problem.code == 404 and live is not None):
                continue  # somebody else was quicker: look again
            raise
    raise ClusterError(
        "%s %s keeps being changed by somebody else; gave up after %d tries" % (kind.kind, name, _TRIES)
    )


class _Lost:
    """What earlier tries of a task may have done. ``created``: an answer to a creation was lost, so that an
    object as asked for is this task's. ``before`` was replaced.
    """

    def __init__(self) -> None:
        self.created = False
        self.recreated = False
        self.before: Object | None = None

    def outcome(self, found: Outcome) -> Outcome:
        """What became of the object, seen from the task's beginning."""
        found.recreated = found.recreated or self.recreated
        found.before = self.before or found.before
        return found


def absent(
    client: Client,
    kind: Kind,
    namespace: str | None,
    name: str,
    grace: int | None,
    wait: bool,
    timeout: float,
    seen: t.Sequence[Object | None] = (),
) -> Outcome:
    """Makes the object not exist. One that is being deleted already is left to it, unless ``grace`` is
    shorter. ``seen`` is as for ``present``.
    """
    deadline = time.monotonic() + timeout
    for attempt in range(_TRIES):
        live = seen[0] if seen and attempt == 0 else client.get(kind, namespace, name)
        if live is None:
            return Outcome(kind, namespace, name, None, None)
        metadata = live["metadata"]
        going = metadata.get("deletionTimestamp")
        sooner = grace is not None and grace < int(metadata.get("deletionGracePeriodSeconds") or 0)
        outcome = Outcome(kind, namespace, name, live, live if going and not sooner else None)
        try:
            if not going or sooner:
                client.delete(kind, namespace, name, grace, metadata.get("uid"))
            break
        except StatusError as problem:
            if problem.code != 409 or attempt == _TRIES - 1:
                raise  # 409: another has this name by now
    if wait and not client.dry_run:
        gone(client, kind, t.cast(Object, outcome.before), deadline)
        outcome.live = None
    return outcome


def _create(client: Client, kind: Kind, asked: Object) -> Outcome:
    """Raises MaybeDone where the connection broke before the answer."""
    name, namespace = asked["metadata"]["name"], asked["metadata"].get("namespace")
    outcome = Outcome(kind, namespace, name, None, None)
    asked = without_nulls(asked)
    return written(client, outcome, asked, lambda: client.create(kind, namespace, asked))


def written(client: Client, outcome: Outcome, asked: Object, write: t.Callable[[], Object]) -> Outcome:
    """The outcome of a write that makes an object. In check mode its namespace may be missing: an earlier
    task of the same play may make it, which it has not done then.
    """
    try:
        outcome.live = write()
    except StatusError as problem:
        if not (client.dry_run and problem.code == 404 and outcome.namespace):
            raise
        outcome.live = asked
        outcome.warnings.append(
            "namespace %s does not exist yet, so the cluster could not check this" % outcome.namespace
        )
    return outcome


def _after_deletion(client: Client, kind: Kind, asked: Object, live: Object, deadline: float) -> Outcome:
    """The object of this name is on its way out: the one asked for comes after it."""
    if client.dry_run:
        outcome = _try_beside(client, kind, asked)
    else:
        gone(client, kind, live, deadline)
        outcome = _create(client, kind, asked)
    outcome.recreated = True
    return outcome


def _recreate(client: Client, kind: Kind, asked: Object, live: Object, deadline: float) -> Outcome:
    metadata = live["metadata"]
    client.delete(kind, metadata.get("namespace"), metadata["name"], uid=metadata.get("uid"))
    if client.dry_run:
        outcome = _try_beside(client, kind, asked)
    else:
        gone(client, kind, live, deadline)
        outcome = _create(client, kind, asked)
    outcome.before = live
    outcome.recreated = True
    return outcome


def _try_beside(client: Client, kind: Kind, asked: Object) -> Outcome:
    """Check mode while an object of the name is still there: validated under another name, shown under its
    own.
    """
    name = asked["metadata"]["name"]
    other = dict(asked, metadata=dict(asked["metadata"], name=name[:240] + "-check"))
    outcome = _create(client, kind, other)
    outcome.name = name
    if outcome.live is not None:
        outcome.live = dict(outcome.live, metadata=dict(outcome.live["metadata"], name=name))
    return outcome
