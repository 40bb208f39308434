# SPDX-License-Identifier: GPL-3.0-or-later
"""Group coordination.k8s.io: one file a kind."""
