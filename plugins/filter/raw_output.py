# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter navarch.cluster.raw_output."""

from __future__ import annotations

DOCUMENTATION = r"""
name: raw_output
short_description: The output of a raw command, without what the login printed
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Takes the result of P(ansible.builtin.raw#module) and returns what the command printed between the lines
    C(<navarch>) and C(</navarch>). Before and after them is what the prompt of sudo or the shell of the login
    printed.
  - The roles of this collection query hosts so. It is quicker than a module and needs no Python on the host.
options:
  _input:
    description: The registered result. One without output, as of a skipped task, gives an empty string.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Ask a host for its name, whatever its login shell prints
  ansible.builtin.raw: echo '<navarch>'; uname -n; echo '</navarch>'
  register: named
  changed_when: false

- name: Show it
  ansible.builtin.debug:
    msg: "{{ named | navarch.cluster.raw_output }}"
"""

RETURN = r"""
_value:
  description: What is between the marks, without space around it, and empty where there are no marks.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import refusing_unknown


@refusing_unknown("raw_output")
def raw_output(value: t.Any) -> str:
    if not isinstance(value, t.Mapping):
        raise AnsibleFilterError("navarch.cluster.raw_output: %r is no result of a task" % (value,))
    return (value.get("stdout") or "").partition("<navarch>")[2].partition("</navarch>")[0].strip()


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"raw_output": raw_output}
