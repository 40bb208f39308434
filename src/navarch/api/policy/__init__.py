# SPDX-License-Identifier: GPL-3.0-or-later
"""Group policy: one file a kind."""
