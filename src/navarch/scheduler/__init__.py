# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives every pending pod a node: `Scheduler(client).run()`; `review` answers where pods would go."""

from navarch.scheduler.review import review
from navarch.scheduler.scheduler import Scheduler

__all__ = ["Scheduler", "review"]
