# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter navarch.cluster.quantity. Parsing is ``_api.quantity``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: quantity
short_description: The number that a quantity of the API stands for
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Turns quantities such as V(100m), V(0.5) and V(1Gi) into numbers to reckon with.
positional: unit
options:
  _input:
    description: A quantity.
    type: raw
    required: true
  unit:
    description: What to count in, as a suffix of quantities, such as V(m) for millicores or V(Mi) for
      mebibytes. By default whole cores and bytes.
    type: str
    choices: ["", n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei]
    default: ""
seealso:
  - plugin: navarch.cluster.to_quantity
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Reckon with what nodes have
  ansible.builtin.assert:
    that:
      - "'1Gi' | navarch.cluster.quantity == 1073741824"
      - "'1500m' | navarch.cluster.quantity == 1.5"
      - "'0.25' | navarch.cluster.quantity('m') == 250"
      - "'3Gi' | navarch.cluster.quantity(unit='Mi') == 3072"
"""

RETURN = r"""
_value:
  description: The number. Without a fraction where it has none.
  type: float
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.navarch.cluster.plugins.module_utils._api.quantity import UNITS, parse_quantity
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import refusing_unknown


@refusing_unknown("quantity")
def quantity(value: t.Any, unit: str = "") -> int | float:
    if unit not in UNITS:
        units = ", ".join(filter(None, UNITS))
        raise AnsibleFilterError("navarch.cluster.quantity: unit: must be of %s, not %r" % (units, unit))
    try:
        amount = parse_quantity(value) / parse_quantity("1" + unit)
    except ValueError as problem:
        raise AnsibleFilterError("navarch.cluster.quantity: %s" % problem) from None
    return int(amount) if amount.denominator == 1 else float(amount)


class FilterModule:
    """What Ansible asks a file of filters for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"quantity": quantity}
