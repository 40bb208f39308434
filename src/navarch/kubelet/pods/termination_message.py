# SPDX-License-Identifier: GPL-3.0-or-later
"""The last words of a container: its termination message file, or the end of its log, as its policy says."""

from __future__ import annotations

from pathlib import Path

from navarch.api.core.pod.container import Container
from navarch.kubelet.runtime.base import ContainerState, LogOptions, Runtime, RuntimeFault

_LONGEST = 4096
_LOG_LINES = 80
_LOG_BYTES = 2048


async def message(runtime: Runtime, container: Container, state: ContainerState, path: Path) -> str:
    """ "" when it left none."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST).decode(errors="replace")
    except OSError:
        text = ""
    if text or container.termination_message_policy != "FallbackToLogsOnError" or state.exit_code == 0:
        return text
    data = b""
    try:
        async for _, part in runtime.logs(state, LogOptions(tail=_LOG_LINES)):
            data = (data + part)[-_LOG_BYTES:]
    except RuntimeFault:
        return ""
    return data.decode(errors="replace")
