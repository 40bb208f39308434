# SPDX-License-Identifier: GPL-3.0-or-later
"""This node: joining the cluster, certificates, status and lease, and the network of its pods."""
