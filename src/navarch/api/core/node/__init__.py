# SPDX-License-Identifier: GPL-3.0-or-later
"""Node: its types, rules and table, and the names and addresses of nodes."""
