# SPDX-License-Identifier: GPL-3.0-or-later
"""Group apps: one file a kind."""
