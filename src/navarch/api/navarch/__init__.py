# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups under navarch.io, kinds that Kubernetes does not have: one file a kind."""
