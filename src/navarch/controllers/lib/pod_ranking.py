# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pods can best be spared, as Kubernetes orders them (ActivePodsWithRanks)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from navarch.controllers.views import PodView

#: The further a pod has come, the later it is deleted.
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def spare_first(pods: Sequence[PodView], related: Sequence[PodView] = ()) -> list[PodView]:
    """related: pods to be spread over nodes together with these; they count, and are not returned."""
    on_node = Counter(pod.spec.node_name for pod in (*pods, *related))

    def usefulness(pod: PodView) -> tuple[object, ...]:
        return (
            bool(pod.spec.node_name),
            _PHASES.get(pod.status.phase or "", 0),
            pod.ready_since is not None,
            _deletion_cost(pod),
            -on_node[pod.spec.node_name],
            _newest_first(pod.ready_since or ""),
            -max((status.restart_count for status in pod.status.container_statuses or ()), default=0),
            _newest_first(pod.metadata.creation_timestamp or ""),
            pod.metadata.name,
        )

    return sorted(pods, key=usefulness)


def _newest_first(moment: str) -> str:
    return "".join(chr(0x7E - ord(c) + 0x20) for c in moment)


def _deletion_cost(pod: PodView) -> int:
    text = (pod.metadata.annotations.deletion_cost if pod.metadata.annotations else None) or ""
    # Anything but an int32 counts as nothing, as in Kubernetes.
    cost = int(text) if re.fullmatch(r"-?(0|[1-9][0-9]{0,9})", text) else 0
    return cost if -(2**31) <= cost < 2**31 else 0
