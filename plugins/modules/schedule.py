# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.schedule. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schedule
short_description: Put a pod on a node, or ask where it would go
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Binds a pending pod to a node, without the scheduler. The pod must wait for it, so it is best made with
    a scheduler name of your own.
  - Or asks the scheduler where it would put pods, and why not elsewhere. Nothing is changed by that. It
    needs a Navarch cluster.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.pod_spec.template
options:
  state:
    description:
      - V(bound) makes sure that the pod O(pod) is bound to the node O(node).
      - V(planned) returns where the pod O(pod), or O(replicas) pods as described by O(template), would be
        put.
    type: str
    choices: [bound, planned]
    default: bound
  pod:
    description: Name of a pod that exists.
    type: str
  node:
    description: Name of the node. Required if O(state=bound).
    type: str
  namespace:
    description: Namespace of the pods.
    type: str
    default: default
  replicas:
    description: How many pods as described by O(template) to place one after the other.
    type: int
    default: 1
seealso:
  - module: navarch.cluster.pod
  - module: navarch.cluster.node_info
"""

EXAMPLES = r"""
- name: The pod runs on this node
  navarch.cluster.schedule:
    pod: web
    node: node-2

- name: Ask where three such pods would go
  navarch.cluster.schedule:
    state: planned
    replicas: 3
    template:
      containers:
        - name: web
          image: busybox:1.36
          resources:
            requests:
              cpu: 500m
              memory: 256Mi
  register: plan

- name: There is room for all of them
  ansible.builtin.assert:
    that: plan.placements | rejectattr('nodeName') | length == 0
"""

RETURN = r"""
pod:
  description: The pod as the cluster has it.
  returned: when O(state=bound)
  type: dict
  sample:
    apiVersion: v1
    kind: Pod
    metadata:
      name: web
      namespace: default
    spec:
      nodeName: node-2
placements:
  description: Where each pod would be put.
  returned: when O(state=planned)
  type: list
  elements: dict
  contains:
    pod:
      description: Name of the pod.
      type: str
      sample: web
    nodeName:
      description: The node it would be put on. Empty when there is none.
      type: str
      sample: node-2
    score:
      description: What the scheduler thinks of that node, more being better.
      type: float
      sample: 87.5
    message:
      description: Why there is no node, for all nodes in one line.
      type: str
      sample: ""
    nodes:
      description: Each node, whether the pod could run there, its score, and what speaks against it.
      type: list
      elements: dict
      sample:
        - name: node-1
          feasible: false
          score: 0
          reasons:
            - Insufficient cpu
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils import args, podspec
from ansible_collections.navarch.cluster.plugins.module_utils.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils.scheduling import bind, plan

RULES: args.Spec = {
    "required_if": [("state", "bound", ["pod", "node"]), ("state", "planned", ["pod", "template"], True)],
    "mutually_exclusive": [("pod", "template")],
}


def spec() -> args.Spec:
    own = {
        "state": {"type": "str", "choices": ["bound", "planned"], "default": "bound"},
        "pod": {"type": "str"},
        "node": {"type": "str"},
        "namespace": {"type": "str", "default": "default"},
        "replicas": {"type": "int", "default": 1},
    }
    return args.merge(podspec.template_spec(), own)


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    if params["state"] == "bound":
        return bind(client, params["namespace"], params["pod"], params["node"])
    return plan(client, params)


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
