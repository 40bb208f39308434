# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the cluster on disk: what a kubelet answers with that was started while the master is away, or
has not listed all services yet. The names themselves are `zone`'s business.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from navarch.network.dns.records import Record
from navarch.network.services import ServiceKey

log = logging.getLogger(__name__)

#: Seconds after which an entry must not be used any more.
_TOO_OLD = 3600.0

Known = list[tuple[ServiceKey, Sequence[Record]]]


class Memory:
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Known:
        """What was kept; nothing when that is too old or none."""
        try:
            if time.time() - self._path.stat().st_mtime > _TOO_OLD:
                return []
            found = msgspec.msgpack.decode(
                self._path.read_bytes(), type=list[tuple[ServiceKey, list[Record]]]
            )
        except (OSError, msgspec.MsgspecError):
            return []
        return [(key, records) for key, records in found]

    def save(self, known: Iterable[tuple[ServiceKey, Sequence[Record]]]) -> None:
        """Blocks."""
        fresh = self._path.with_suffix(".new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.msgpack.encode(list(known)))
            fresh.replace(self._path)
        except OSError as error:
            log.warning("cannot keep the names of services: %s", error)
