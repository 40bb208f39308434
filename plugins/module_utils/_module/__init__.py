# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules share: options, and the way from them to a result.

PRIVATE to this collection: it may change or go in any release, without notice.
"""

from __future__ import annotations
