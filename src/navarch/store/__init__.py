# SPDX-License-Identifier: GPL-3.0-or-later
"""Revisioned key-value stores behind one protocol. Knows bytes, keys and revisions, and no kinds."""
