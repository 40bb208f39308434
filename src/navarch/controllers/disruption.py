# SPDX-License-Identifier: GPL-3.0-or-later
"""Saying on a pod that the cluster ends it, not its own doing: the condition DisruptionTarget, before it is
deleted. Who counts failures (a Job's pod failure policy) leaves such ends out."""

from __future__ import annotations

from typing import Any

from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import now
from navarch.client.base import Client
from navarch.controllers.views import PodView

DISRUPTED = "DisruptionTarget"


async def set_condition(
    client: Client, pod: PodView, reason: str, message: str, *, phase: str | None = None
) -> None:
    """phase: its phase from now on, unless it has finished: its kubelet may be gone.

    A pod that is gone or another one by now is left to the deletion that follows.
    """
    marked = any(c.type == DISRUPTED and c.status == "True" for c in pod.status.conditions or ())
    if marked and (phase is None or pod.finished):
        return
    condition = {
        "type": DISRUPTED,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now(),
    }
    status: dict[str, Any] = {"conditions": [condition]}
    if phase is not None and not pod.finished:
        status["phase"] = phase
    meta = pod.metadata
    body = {"metadata": {"uid": meta.uid}, "status": status}
    try:
        await client.patch(Pod, meta.name, meta.namespace, body, type="strategic", subresource="status")
    except StatusError as error:
        if error.code not in (404, 409):
            raise
