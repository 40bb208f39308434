# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes of which the server works out what comes of them: JSON patches, server-side apply, and objects whose
name it makes.

Belongs here: one object, written so. Not here: comparing with what is asked for (``present``).
"""

from __future__ import annotations

import typing as t

from .._api.client import JSON_PATCH, Client, Kind
from .._api.errors import OptionError
from .diff import Path
from .manifest_validation import called
from .present import Outcome, clean, definition, without_nulls, written

Object = t.Dict[str, t.Any]
APPLY = "application/apply-patch+yaml"  # JSON is YAML too
OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")


def patches_of(given: t.Sequence[t.Mapping[str, t.Any]]) -> list[Object]:
    """The operations of the option ``patches`` as RFC 6902 has them."""
    made = []
    for number, one in enumerate(given):
        operation, where = one["op"], "patches[%d]" % number
        if not one["path"].startswith("/"):
            raise OptionError(where + ".path", "must begin with / (RFC 6901)")
        patch = {"op": operation, "path": one["path"]}
        if operation in ("move", "copy"):
            if one["from"] is None:
                raise OptionError(where + ".from", "is needed for %s" % operation)
            patch["from"] = one["from"]
        elif operation != "remove":
            patch["value"] = one["value"]
        made.append(patch)
    return made


def patched(
    client: Client, kind: Kind, namespace: str | None, name: str, patches: list[Object], live: Object | None
) -> Outcome:
    """Changes an object that exists by a JSON patch (RFC 6902). What it leaves as it was is no change."""
    where = " in namespace %s" % namespace if namespace else ""
    if live is None and client.dry_run:  # an earlier task may make it
        outcome = Outcome(kind, namespace, name, None, definition(kind, name, namespace, {}, None))
        said = "%s %s%s does not exist yet, so the cluster could not check this" % (kind.kind, name, where)
        outcome.warnings.append(said)
        return outcome
    if live is None:
        raise OptionError("patches", "there is no %s %s%s to be patched" % (kind.kind, name, where))
    after = client.patch(kind, namespace, name, patches, JSON_PATCH)
    return _compared(Outcome(kind, namespace, name, live, after))


def applied(
    client: Client, kind: Kind, asked: Object, manager: str, force: bool, live: Object | None
) -> Outcome:
    """Server-side apply: the server merges, and keeps which fields the manager has set."""
    name, namespace = asked["metadata"]["name"], asked["metadata"].get("namespace")
    query = {"fieldManager": manager, "force": "true" if force else "false"}
    asked = without_nulls(asked)
    outcome = Outcome(kind, namespace, name, live, None)
    written(client, outcome, asked, lambda: client.patch(kind, namespace, name, asked, APPLY, query))
    return _compared(outcome)


def generated(client: Client, kind: Kind, asked: Object) -> Outcome:
    """Makes an object whose name the server makes (``metadata.generateName``): another one each time."""
    namespace = asked["metadata"].get("namespace")
    asked = without_nulls(asked)
    outcome = Outcome(kind, namespace, called(asked["metadata"]), None, None)
    written(client, outcome, asked, lambda: client.create(kind, namespace, asked))
    if outcome.live:
        outcome.name = called(outcome.live["metadata"])
    return outcome


def _compared(outcome: Outcome) -> Outcome:
    if outcome.before is not None:
        outcome.differing = list(_differing(clean(outcome.before), clean(outcome.live)))
    return outcome


def _differing(before: t.Any, after: t.Any, path: Path = ()) -> t.Iterator[Path]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        if before != after:
            yield path
        return
    for key in [*before, *(key for key in after if key not in before)]:
        if key not in before or key not in after:
            yield (*path, str(key))
        else:
            yield from _differing(before[key], after[key], (*path, str(key)))
