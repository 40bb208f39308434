# SPDX-License-Identifier: GPL-3.0-or-later
"""The core group, v1: one file a kind, folders for pod, node and service."""
