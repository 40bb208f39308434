# SPDX-License-Identifier: GPL-3.0-or-later
"""The node server.

What the master asks of a kubelet over HTTPS. Routes are in `app`, one file a subject beside it.
"""
