# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter navarch.cluster.to_selector."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_selector
short_description: Label selectors from a mapping
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Writes a mapping as label selectors, for options such as C(label_selectors).
  - Takes a selector as the API has it too, with C(matchLabels) and C(matchExpressions).
options:
  _input:
    description: Values by label. A list means one of these, V(true) that there is such a label, V(false)
      or V(null) that there is none.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Select objects
  ansible.builtin.assert:
    that:
      - "{'app': 'web', 'tier': ['a', 'b']} | navarch.cluster.to_selector == ['app=web', 'tier in (a,b)']"
      - "{'draft': false, 'owner': true} | navarch.cluster.to_selector == ['!draft', 'owner']"
"""

RETURN = r"""
_value:
  description: One selector for each label. All of them must match.
  type: list
  elements: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import refusing_unknown

_LISTED = {"In": "in", "NotIn": "notin"}
_BARE = {"Exists": "%s", "DoesNotExist": "!%s"}


@refusing_unknown("to_selector")
def to_selector(value: t.Any) -> list[str]:
    if not isinstance(value, t.Mapping):
        raise _error("%r is no mapping" % (value,))
    if not set(value) & {"matchLabels", "matchExpressions"}:
        return [_one(str(label), wanted) for label, wanted in value.items()]
    labels, expressions = value.get("matchLabels") or {}, value.get("matchExpressions") or []
    if stray := set(value) - {"matchLabels", "matchExpressions"}:
        raise _error("%s beside matchLabels and matchExpressions" % ", ".join(sorted(map(str, stray))))
    if not isinstance(labels, t.Mapping):
        raise _error("matchLabels: %r is no mapping" % (labels,))
    if not isinstance(expressions, (list, tuple)):
        raise _error("matchExpressions: %r is no list" % (expressions,))
    return [_one(str(label), wanted) for label, wanted in labels.items()] + list(
        map(_expression, expressions)
    )


def _one(label: str, wanted: t.Any) -> str:
    if wanted is None or wanted is False:
        return "!%s" % label
    if wanted is True:
        return label
    if isinstance(wanted, (list, tuple)):
        return "%s in (%s)" % (label, _listed(label, wanted))
    if isinstance(wanted, t.Mapping):
        raise _error("the value of %s is a mapping" % label)
    return "%s=%s" % (label, wanted)


def _expression(part: t.Any) -> str:
    try:
        key, operator = part["key"], part["operator"]
        if operator in _BARE:
            return _BARE[operator] % key
        return "%s %s (%s)" % (key, _LISTED[operator], _listed(key, part["values"]))
    except (KeyError, TypeError):
        raise _error("%r is no match expression" % (part,)) from None


def _listed(label: str, values: t.Any) -> str:
    if not isinstance(values, (list, tuple)) or not values:
        raise _error("the values of %s must be a list of one or more, not %r" % (label, values))
    return ",".join(map(str, values))


def _error(said: str) -> AnsibleFilterError:
    return AnsibleFilterError("navarch.cluster.to_selector: %s" % said)


class FilterModule:
    """What Ansible asks a file of filters for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"to_selector": to_selector}
