# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on large bodies and objects, done off the event loop.

A thread gives no second core (one interpreter lock), but it gives the lock back every few milliseconds, so
that other requests are answered meanwhile. Only pure functions of their arguments go here: nothing in this
process is locked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Bytes of a body or an object from which on work in proportion to it leaves the loop.
LARGE = 64 * 1024

#: Few: every busy thread is one more that the loop waits for, and holds one more large document.
_THREADS = 2

_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="large bodies")


async def offload(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result or exception, from a thread. Waits its turn while others are busy."""
    return await asyncio.get_running_loop().run_in_executor(_pool, lambda: function(*args, **kwargs))
