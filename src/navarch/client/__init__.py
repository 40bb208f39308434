# SPDX-License-Identifier: GPL-3.0-or-later
"""One client interface, two transports (in process, HTTP), and what stands on it: informer, work queue,
leader election."""
