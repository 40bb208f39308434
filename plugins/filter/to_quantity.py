# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter navarch.cluster.to_quantity. Writing is ``_api.quantity``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_quantity
short_description: A number as a quantity of the API
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Writes a number as a quantity, with the greatest suffix that loses nothing. What is finer than C(n) is
    rounded up, as the API does it.
positional: binary
options:
  _input:
    description: A number, or a quantity to write anew.
    type: raw
    required: true
  binary:
    description: Whether to count by 1024 (V(Ki), V(Mi), ...), as memory is, and not by 1000.
    type: bool
    default: false
seealso:
  - plugin: navarch.cluster.quantity
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write quantities
  ansible.builtin.assert:
    that:
      - "0.25 | navarch.cluster.to_quantity == '250m'"
      - "2000 | navarch.cluster.to_quantity == '2k'"
      - "1073741824 | navarch.cluster.to_quantity(binary=true) == '1Gi'"
"""

RETURN = r"""
_value:
  description: The quantity.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.navarch.cluster.plugins.module_utils._api.quantity import (
    parse_quantity,
    write_quantity,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import refusing_unknown


@refusing_unknown("to_quantity")
def to_quantity(value: t.Any, binary: bool = False) -> str:
    try:
        return write_quantity(parse_quantity(value), binary)
    except ValueError as problem:
        raise AnsibleFilterError("navarch.cluster.to_quantity: %s" % problem) from None


class FilterModule:
    """What Ansible asks a file of filters for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"to_quantity": to_quantity}
