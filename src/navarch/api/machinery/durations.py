# SPDX-License-Identifier: GPL-3.0-or-later
"""Ages in tables, for people (`3d4h`). Parsing of timestamps is in meta."""

from __future__ import annotations

from functools import lru_cache

from navarch.api.machinery.meta import parse_time


def human_duration(seconds: float) -> str:
    """At most two units, as kubectl shows ages: `5s`, `3m12s`, `4h`, `2d3h`, `400d`."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 120:
        return f"{total}s"
    minutes, rest = divmod(total, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days, hours = divmod(hours, 24)
    if days < 8:
        return f"{days}d{hours}h" if hours else f"{days}d"
    if days < 730:
        return f"{days}d"
    years, days = divmod(days, 365)
    if years < 8:
        return f"{years}y{days}d" if days else f"{years}y"
    return f"{years}y"


@lru_cache(maxsize=4096)
def seconds(moment: str) -> float:
    """A timestamp as seconds since the epoch. Raises ValueError."""
    return parse_time(moment).timestamp()


def age(moment: str | None, now: float) -> str:
    """The time from a timestamp to now, for people; `<unknown>` when there is none."""
    if not moment:
        return "<unknown>"
    try:
        return human_duration(now - seconds(moment))
    except ValueError:
        return "<unknown>"
