# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looking at the cluster as a whole, and the query of a log. Nothing here writes. Not here: finding objects
(``finding``).
"""

from __future__ import annotations

import re
import typing as t

from .client import NODE, POD, Client
from .discovery import api_versions
from .errors import OptionError, StatusError

_AGO = re.compile(r"^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?$")
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")


def cluster(client: Client) -> dict[str, t.Any]:
    """What the cluster says of itself."""
    nodes, _version = client.list(NODE)
    ready = [node for node in nodes if _is_ready(node)]
    free = [node for node in ready if not (node.get("spec") or {}).get("unschedulable")]
    return {
        "changed": False,
        "server": client.connection.server,
        "version": client.ask("/version"),
        "api_versions": api_versions(client),
        "nodes": {"total": len(nodes), "ready": len(ready), "schedulable": len(free)},
    }


def _is_ready(node: t.Mapping[str, t.Any]) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def read_log(client: Client, params: t.Mapping[str, t.Any]) -> str:
    """The log that the options of ``pod_logs`` ask for."""
    try:
        return client.text(POD, params["namespace"], params["name"], "log", log_query(params))
    except StatusError as problem:
        if problem.code == 404 and problem.reason == "NotFound":
            raise OptionError("name", problem.said) from None
        if problem.code == 400 and "container" in problem.said:
            raise OptionError(
                "previous" if "previous" in problem.said else "container", problem.said
            ) from None
        raise


def log_query(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The query of a pod's log for the options of ``pod_logs``."""
    query: dict[str, t.Any] = {}
    if params.get("container"):
        query["container"] = params["container"]
    if params.get("tail_lines") is not None:
        if params["tail_lines"] < 0:
            raise OptionError("tail_lines", "cannot be negative")
        query["tailLines"] = params["tail_lines"]
    for option in ("previous", "timestamps"):
        if params.get(option):
            query[option] = "true"
    since = str(params.get("since") or "").strip()
    ago = _AGO.match(since)
    if since and ago:
        hours, minutes, seconds = (int(part or 0) for part in ago.groups())
        query["sinceSeconds"] = max(1, hours * 3600 + minutes * 60 + seconds)
    elif _MOMENT.match(since):
        query["sinceTime"] = since
    elif since:
        raise OptionError(
            "since", "%r is neither a time (2026-01-31T12:00:00Z) nor how long ago (90s, 15m, 2h)" % since
        )
    return query
