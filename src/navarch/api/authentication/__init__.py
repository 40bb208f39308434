# SPDX-License-Identifier: GPL-3.0-or-later
"""Group authentication.k8s.io: one file a kind."""
