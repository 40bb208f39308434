# SPDX-License-Identifier: GPL-3.0-or-later
"""Group authorization.k8s.io: one file a kind."""
