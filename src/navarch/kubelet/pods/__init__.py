# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods on this node: one worker a pod, and the parts that it acts through. Knows no engine by name."""
