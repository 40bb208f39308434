# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.cloud_node_info. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_node_info
short_description: Look at the machines of a cloud
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns machines of Google Compute Engine, or of any other cloud that apache-libcloud knows.
extends_documentation_fragment:
  - navarch.cluster.cloud_auth
  - navarch.cluster.cloud_auth.reads
  - navarch.cluster.cloud_auth.libcloud
options:
  name:
    description: Only the machines of this name.
    type: str
  zones:
    description: Only the machines of these zones.
    type: list
    elements: str
    default: []
  filters:
    description: At Google, filter expressions that the API evaluates, such as C(labels.env = prod). All must
      hold.
    type: list
    elements: str
    default: []
  list_arguments:
    description: At other clouds, arguments of C(list_nodes) of libcloud's driver, such as C(ex_filters) of
      V(ec2).
    type: dict
    default: {}
seealso:
  - module: navarch.cluster.cloud_node
"""

EXAMPLES = r"""
- name: Look at the machines of a cluster
  navarch.cluster.cloud_node_info:
    service_account_file: /etc/navarch/gce.json
    filters:
      - labels.cluster = ship
  register: found

- name: All of them run
  ansible.builtin.assert:
    that: found.machines | rejectattr('running') | length == 0
"""

RETURN = r"""
machines:
  description: The machines, by name, each as M(navarch.cluster.cloud_node) returns it.
  returned: success
  type: list
  elements: dict
  sample:
    - provider: gce
      instance_name: ship-1
      status: RUNNING
      running: true
      zone: us-central1-a
      public_ip: 203.0.113.5
"""

from ansible_collections.navarch.cluster.plugins.module_utils._cloud import node
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec


def spec() -> Spec:
    return node.info_spec()


def main() -> None:
    node.run_cloud_module(node.cloud_node_info, spec())


if __name__ == "__main__":
    main()
