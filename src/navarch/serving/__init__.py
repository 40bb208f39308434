# SPDX-License-Identifier: GPL-3.0-or-later
"""What API server and node server share: accepting TLS connections, and how many of them a peer may hold.

Knows no HTTP, no kinds and no users but their names.
"""
