# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs on kinds, the same for every client.

No HTTP here; bytes and revisions are the store's.
"""
