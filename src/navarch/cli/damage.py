# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running master says of its store: Events about damaged objects, and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from navarch.api.machinery.scheme import Scheme
from navarch.client.base import Client
from navarch.client.events import EventRecorder, Reference
from navarch.store.base import Damage, Store
from navarch.store.window import History


class DamageEvents:
    """An Event for each damaged object, about it, where its namespace is still there to hold one."""

    def __init__(self, client: Client, scheme: Scheme, store: Store) -> None:
        self._recorder = EventRecorder(client, "navarch-master")
        self._scheme = scheme
        self._store = store
        store.on_damage = self._record
        for damage in list(store.damaged.values()):
            self._record(damage)

    async def run(self) -> None:
        """Until cancelled."""
        await self._recorder.run()

    def _record(self, damage: Damage) -> None:
        for kind in self._scheme:
            if kind.stored and damage.key.startswith(kind.root):
                namespace, _, name = damage.key[len(kind.root) :].rpartition("/")
                about = Reference(kind.kind, name, "", namespace, kind.api_version)
                message = (
                    f"The stored object is damaged ({damage.why}) and set aside: it is in no list, and writes"
                    " of it are refused. Restore it with `navarch store repair`."
                )
                self._recorder.record(about, "Warning", "StoredObjectDamaged", message)
                return


class StoreMetrics:
    """A collector for prometheus-client."""

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield GaugeMetricFamily(
            "navarch_store_damaged_objects",
            "Stored objects that cannot be read and are set aside.",
            len(self._store.damaged),
        )
        if (scrub := self._store.scrub) is not None:
            for name, documentation, value in (
                ("damaged", "Damaged rows that the background check found.", scrub.damaged),
                ("rewritten", "Damaged rows written again from memory.", scrub.rewritten),
                ("checked", "Rows checked in the background.", scrub.rows),
            ):
                yield CounterMetricFamily(f"navarch_store_{name}_rows", documentation, value)
        yield GaugeMetricFamily(
            "navarch_watch_history_bytes",
            "Bytes of replaced and deleted objects kept for watches to resume.",
            self._history.kept,
        )
