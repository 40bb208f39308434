# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's side of the pod network.

CNI, bridge rules, host ports. Pods' lifecycles are the kubelet's business.
"""
