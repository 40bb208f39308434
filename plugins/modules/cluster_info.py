# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.cluster_info. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Look at the cluster itself
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns the version and the parts of the API of a Navarch cluster, or of any other cluster that speaks
    the Kubernetes API, and how its nodes are.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
options: {}
seealso:
  - module: navarch.cluster.node_info
  - module: navarch.cluster.object_info
"""

EXAMPLES = r"""
- name: Look at the cluster
  navarch.cluster.cluster_info:
  register: cluster

- name: All nodes are ready
  ansible.builtin.assert:
    that: cluster.nodes.ready == cluster.nodes.total
"""

RETURN = r"""
server:
  description: Address at which the cluster answers.
  returned: success
  type: str
  sample: https://master.example.org:6443
version:
  description: The version that the cluster says it has.
  returned: success
  type: dict
  sample:
    major: "1"
    minor: "37"
    gitVersion: v1.37.0+navarch.0.1.0
api_versions:
  description: The groups and versions of its API.
  returned: success
  type: list
  elements: str
  sample:
    - v1
    - coordination.k8s.io/v1
nodes:
  description: How many nodes there are.
  returned: success
  type: dict
  contains:
    total:
      description: All of them.
      type: int
      sample: 3
    ready:
      description: Those that are ready.
      type: int
      sample: 3
    schedulable:
      description: Those that are ready and take new pods.
      type: int
      sample: 2
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources import info


def spec() -> Spec:
    return {}


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return info.cluster(client)


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
