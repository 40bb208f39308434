# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of labels and annotations (``_pods.spec.METADATA``)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  labels:
    description:
      - Labels that the object shall have. V(null) takes one away. Its other labels are left alone.
    type: dict
  annotations:
    description:
      - Annotations that the object shall have. V(null) takes one away. The others are left alone.
    type: dict
"""
