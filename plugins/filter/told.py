# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter navarch.cluster.told."""

from __future__ import annotations

DOCUMENTATION = r"""
name: told
short_description: What a raw command told, without what the login said
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Takes the result of P(ansible.builtin.raw#module) and gives what the command printed between the lines
    C(<navarch>) and C(</navarch>). Before and after them is what the prompt of sudo or the shell of the login
    had to say.
  - The roles of this collection ask hosts that way, which is quicker than a module and wants no Python.
options:
  _input:
    description: The registered result. One without output, as of a task that was skipped, tells nothing.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Ask a host which it is, whatever its login shell says
  ansible.builtin.raw: echo '<navarch>'; uname -n; echo '</navarch>'
  register: named
  changed_when: false

- name: Show it
  ansible.builtin.debug:
    msg: "{{ named | navarch.cluster.told }}"
"""

RETURN = r"""
_value:
  description: What is between the marks, without space around it, and empty where there are no marks.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import refusing_unknown


@refusing_unknown("told")
def told(value: t.Any) -> str:
    if not isinstance(value, t.Mapping):
        raise AnsibleFilterError("navarch.cluster.told: %r is no result of a task" % (value,))
    return (value.get("stdout") or "").partition("<navarch>")[2].partition("</navarch>")[0].strip()


class FilterModule:
    """What Ansible asks a file of filters for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"told": told}
