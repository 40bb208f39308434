# SPDX-License-Identifier: GPL-3.0-or-later
"""Group certificates.k8s.io: one file a kind, and how a certificate names a user."""
