# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.node_info, written by tools/kinds.py from tools/kinds.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Look at nodes
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns nodes of a Navarch cluster, or of any other cluster that speaks the Kubernetes API.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
  - navarch.cluster.selectors
  - navarch.cluster.named
options: {}
seealso:
  - plugin: navarch.cluster.nodes
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Look at all nodes
  navarch.cluster.node_info:
  register: found

- name: All of them are ready
  ansible.builtin.assert:
    that: found.nodes | map(attribute='status.conditions') | flatten
      | selectattr('type', '==', 'Ready') | rejectattr('status', '==', 'True') | length == 0
"""

RETURN = r"""
nodes:
  description: The nodes that were found, by name. Empty when there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: v1
      kind: Node
      metadata:
        name: node-1
      status:
        capacity:
          cpu: "2"
          memory: 4Gi
          pods: "110"
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client, Kind
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources.info import found

KIND = Kind("v1", "Node", "nodes", namespaced=False)


def spec() -> args.Spec:
    return args.merge(args.selectors_spec(), args.named_spec(namespaced=False))


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return found(client, KIND, params, "nodes")


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
