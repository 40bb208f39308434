# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis on machines of any speed: no deadline an example, and few enough examples for a quick suite."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("navarch", deadline=None, max_examples=60, database=None)
settings.load_profile("navarch")
