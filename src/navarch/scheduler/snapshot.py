# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as matrices: a node is a row; what it offers, what is taken, and what it is are columns.

Written by the watches and by assumed placements, read by filters and scores as whole vectors. Two counters
let a reader know what
became stale: `node_version` counts changes of what nodes are, `log` records each row whose use changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from navarch.client.views import Taint
from navarch.scheduler.equivalence_class import EquivalenceClass, HostPort, amount
from navarch.scheduler.pod_counts import PodCounts
from navarch.scheduler.views import NodeRow

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
V = TypeVar("V")
Rows = Any  # an index array or a slice: what numpy takes as an index

CPU, MEMORY, PODS = 0, 1, 2
_CORDONED = "node.kubernetes.io/unschedulable"
_FIRST_ROWS = 64
_LOG_LIMIT = 65_536
_ARRAYS = ("allocatable", "used", "counted", "inverse", "exists", "unschedulable", "taint_set")


def places(domains: Ints) -> int:
    """How many different places these rows are in (see `Snapshot.domains`)."""
    return int(np.count_nonzero(np.bincount(domains[domains >= 0])))


class Snapshot:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.columns: dict[str, int] = {"cpu": CPU, "memory": MEMORY, "pods": PODS}
        # Column-major: rules read whole columns.
        self.allocatable: Ints = np.zeros((_FIRST_ROWS, 3), np.int64, order="F")
        self.used: Ints = np.zeros((_FIRST_ROWS, 3), np.int64, order="F")
        #: What scores count of cpu and memory: requests with floors (see equivalence_class).
        self.counted: Floats = np.zeros((_FIRST_ROWS, 2), order="F")
        #: One over what the node offers of cpu and memory; infinite where it offers none.
        self.inverse: Floats = np.full((_FIRST_ROWS, 2), np.inf, order="F")
        self.exists: Bools = np.zeros(_FIRST_ROWS, np.bool_)
        self.unschedulable: Bools = np.zeros(_FIRST_ROWS, np.bool_)
        #: Index into taint_sets: few distinct sets serve many nodes.
        self.taint_set: Ints = np.zeros(_FIRST_ROWS, np.int64)
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self._taint_ids: dict[tuple[Taint, ...], int] = {(): 0}
        self.labels: list[dict[str, str]] = []
        self.host_ports: dict[tuple[str, int], dict[int, list[str]]] = {}
        self.pod_counts = PodCounts()
        self._views: list[NodeRow | None] = []
        self._of_nodes: tuple[int, dict[Hashable, Any]] = (-1, {})
        self._vectors: dict[int, tuple[EquivalenceClass, int, Ints, Ints]] = {}
        self.node_version = 0
        self.log: list[int] = []
        self._log_start = 0

    # What a reader asks.

    @property
    def rows(self) -> int:
        """Rows in use; gone nodes keep theirs, with `exists` false, until the name comes back."""
        return len(self.names)

    @property
    def nodes(self) -> int:
        return int(self.exists[: self.rows].sum())

    @property
    def position(self) -> int:
        """Where the log of uses stands."""
        return self._log_start + len(self.log)

    def changed_since(self, position: int) -> list[int] | None:
        """Rows whose use changed since, or None when that is no longer known."""
        start = position - self._log_start
        if start < 0:
            return None
        return self.log[start:]

    def vector(self, eclass: EquivalenceClass) -> tuple[Ints, Ints]:
        """(what the class takes by column, the columns it asks for); the pod slot is always among them."""
        known = self._vectors.get(id(eclass))
        width = len(self.columns)
        if known is not None and known[0] is eclass and known[1] == width:
            return known[2], known[3]
        for name in eclass.requests:
            self._column(name)
        width = len(self.columns)
        takes = np.zeros(width, np.int64)
        takes[PODS] = 1
        for name, number in eclass.requests.items():
            takes[self.columns[name]] = number
        requested = np.flatnonzero(takes)
        if len(self._vectors) > 8192:
            self._vectors.clear()
        self._vectors[id(eclass)] = (eclass, width, takes, requested)
        return takes, requested

    def of_nodes(self, key: Hashable, make: Callable[[], V]) -> V:
        """What follows from nodes alone, made once and kept until one changes. Not to be changed by the
        caller."""
        if self._of_nodes[0] != self.node_version:
            self._of_nodes = (self.node_version, {})
        kept = self._of_nodes[1]
        if key not in kept:
            kept[key] = make()
        found: V = kept[key]
        return found

    def domains(self, label: str) -> Ints:
        """The places that a label's values make: a number a row, below 0 where the node has no such label."""
        return self.of_nodes(("domains", label), lambda: self._domains(label))

    def by_domain(self, label: str, counts: Ints, eligible: Bools | None = None) -> Ints:
        """For each row what its place holds: the counts of the eligible rows of that place, summed."""
        domains = self.domains(label)
        counted = domains >= 0
        if eligible is not None:
            counted = counted & eligible
        sums = np.zeros(int(domains.max(initial=-1)) + 2, np.int64)  # the last one for rows without the label
        np.add.at(sums, domains[counted], counts[counted])
        return sums[domains]

    def port_conflict(self, row: int, port: HostPort) -> bool:
        protocol, number, address = port
        taken = self.host_ports.get((protocol, number), {}).get(row)
        if not taken:
            return False
        anywhere = ("", "0.0.0.0", "::")
        return address in anywhere or any(other in anywhere or other == address for other in taken)

    # Nodes.

    def set_node(self, node: NodeRow) -> bool:
        """Add or change a node. Returns whether anything that scheduling looks at differs."""
        name = node.metadata.name
        row = self._row(name)
        before = self._views[row]
        if (
            before is not None
            and self.exists[row]
            and before.spec == node.spec
            and before.status == node.status
            and before.metadata.labels == node.metadata.labels
        ):
            return False
        self._views[row] = node
        offered = node.status.allocatable or node.status.capacity or {}
        for resource in offered:
            self._column(resource)
        self.allocatable[row] = 0
        for resource, quantity in offered.items():
            self.allocatable[row, self.columns[resource]] = amount(resource, quantity)
        for column in (CPU, MEMORY):
            self.inverse[row, column] = (
                1.0 / offer if (offer := float(self.allocatable[row, column])) else np.inf
            )
        self.exists[row] = True
        self.unschedulable[row] = bool(node.spec.unschedulable)
        taints = tuple(node.spec.taints or ())
        if taints not in self._taint_ids:
            self._taint_ids[taints] = len(self.taint_sets)
            self.taint_sets.append(taints)
        self.taint_set[row] = self._taint_ids[taints]
        self.labels[row] = node.metadata.labels or {}
        self.node_version += 1
        return True

    def set_schedulable(self, name: str, schedulable: bool) -> None:
        """Cordon or uncordon a node. The taint that says the same goes with the mark."""
        row = self.index[name]
        node = self._views[row]
        if node is None:
            return
        taints = [taint for taint in node.spec.taints or () if taint.key != _CORDONED]
        spec = msgspec.structs.replace(node.spec, unschedulable=not schedulable, taints=taints)
        self.set_node(msgspec.structs.replace(node, spec=spec))

    def remove_node(self, name: str) -> None:
        """The node is gone; what runs on it stays accounted until its pods are gone too."""
        row = self.index.get(name)
        if row is not None and self.exists[row]:
            self.exists[row] = False
            self._views[row] = None
            self.node_version += 1

    # Pods.

    def used_share(self, eclass: EquivalenceClass, rows: Rows, column: int) -> Floats:
        """Used share of a column (CPU, MEMORY) with the pod placed: 0 to 1, one value a row. A node that
        offers none is full."""
        shares: Floats = (self.counted[rows, column] + eclass.nonzero[column]) * self.inverse[rows, column]
        return np.minimum(shares, 1.0, out=shares)

    def take(self, name: str, eclass: EquivalenceClass) -> int:
        """A pod of this equivalence class sits on the node. Returns the node's row."""
        row = self._row(name)
        self.take_rows([row], eclass)
        return row

    def take_rows(self, rows: list[int], eclass: EquivalenceClass) -> None:
        """A pod of this equivalence class sits on each of these nodes; no row may be named twice."""
        takes, _ = self.vector(eclass)
        self.used[rows] += takes
        self.counted[rows] += eclass.nonzero
        self._note(rows)
        for row in rows:
            self.pod_counts.take(row, eclass)
        for protocol, number, address in eclass.host_ports:
            for row in rows:
                self.host_ports.setdefault((protocol, number), {}).setdefault(row, []).append(address)

    def leave(self, row: int, eclass: EquivalenceClass) -> None:
        """A pod of this equivalence class is being deleted; it takes what it takes until it is given back."""
        self.pod_counts.leave(row, eclass)
        self._note([row])

    def give_back(self, row: int, eclass: EquivalenceClass, *, leaving: bool = False) -> None:
        takes, _ = self.vector(eclass)
        self.pod_counts.give_back(row, eclass, leaving=leaving)
        self.used[row] -= takes
        self.counted[row] -= eclass.nonzero
        self._note([row])
        for protocol, number, address in eclass.host_ports:
            holders = self.host_ports[protocol, number]
            holders[row].remove(address)
            if not holders[row]:
                del holders[row]
                if not holders:
                    del self.host_ports[protocol, number]

    def clear_pods(self) -> None:
        self.used[:] = 0
        self.counted[:] = 0
        self.host_ports.clear()
        self.pod_counts.clear()
        self._forget_log()

    def copy(self) -> Snapshot:
        """Independent, for questions of the kind "what if"."""
        other = copy.copy(self)
        for name in _ARRAYS:
            setattr(other, name, getattr(self, name).copy(order="F"))
        other.names, other.labels, other._views = self.names[:], self.labels[:], self._views[:]
        other.index, other.columns = dict(self.index), dict(self.columns)
        other.taint_sets, other._taint_ids = self.taint_sets[:], dict(self._taint_ids)
        other.host_ports = {
            port: {row: ips[:] for row, ips in rows.items()} for port, rows in self.host_ports.items()
        }
        other.pod_counts = self.pod_counts.copy()
        other._of_nodes = (-1, {})
        other.log, other._vectors = self.log[:], dict(self._vectors)
        return other

    # Inside.

    def _domains(self, label: str) -> Ints:
        numbers: dict[str, int] = {}
        domains = np.full(self.rows, -1, np.int64)
        for row, labels in enumerate(self.labels):
            if self.exists[row] and (value := labels.get(label)) is not None:
                domains[row] = numbers.setdefault(value, len(numbers))
        return domains

    def _note(self, rows: list[int]) -> None:
        if len(self.log) + len(rows) > _LOG_LIMIT:
            self._forget_log()
        self.log.extend(rows)

    def _forget_log(self) -> None:
        """Readers behind this point rescore everything. The step of one keeps their positions below the new
        start."""
        self._log_start += len(self.log) + 1
        self.log.clear()

    def _row(self, name: str) -> int:
        row = self.index.get(name)
        if row is None:
            row = self.index[name] = len(self.names)
            self.names.append(name)
            self.labels.append({})
            self._views.append(None)
            if row >= len(self.exists):
                self._grow()
            self.node_version += 1
        return row

    def _grow(self) -> None:
        for name in _ARRAYS:
            old = getattr(self, name)
            empty = np.inf if name == "inverse" else 0
            new = np.full((len(old) * 2, *old.shape[1:]), empty, old.dtype, order="F")
            new[: len(old)] = old
            setattr(self, name, new)

    def _column(self, resource: str) -> int:
        column = self.columns.get(resource)
        if column is None:
            column = self.columns[resource] = len(self.columns)
            pad = ((0, 0), (0, 1))
            self.allocatable = np.asfortranarray(np.pad(self.allocatable, pad))
            self.used = np.asfortranarray(np.pad(self.used, pad))
            self._vectors.clear()
        return column
