# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs on kinds: what a request means, whoever sends it.

No HTTP here; bytes and revisions are the store's.
"""
