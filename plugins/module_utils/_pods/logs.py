# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The log of a container, as the options of ``pod_logs`` ask for it. Not here: following a log."""

from __future__ import annotations

import re
import typing as t

from .._api.client import POD, Client
from .._api.errors import OptionError, StatusError

_AGO = re.compile(r"^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?$")
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")


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
