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
  - navarch.cluster.pod_spec.placed_template
options:
  state:
    description:
      - V(bound) makes sure that the pod O(pod) is bound to the node O(node).
      - V(planned) returns where the pod O(pod), the pods O(pods), or O(replicas) pods as described by
        O(template), would be put.
    type: str
    choices: [bound, planned]
    default: bound
  pod:
    description: Name of a pod that exists.
    type: str
  pods:
    description: Names of pods that exist, for O(state=planned).
    type: list
    elements: str
  node:
    description: Name of the node. Required if O(state=bound).
    type: str
  namespace:
    description: Namespace of the pods.
    type: str
    default: default
  replicas:
    description:
      - How many pods as described by O(template) to place one after the other.
      - Several are spread over nodes and zones, as pods of a controller are.
    type: int
    default: 1
  add_nodes:
    description: For O(state=planned), nodes to reckon with as if they had joined, ready and empty.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the node, or what its name begins with when there are several.
        type: str
        required: true
      like:
        description: Name of a node that exists, whose labels, taints and capacity the new one has too.
        type: str
      count:
        description: How many such nodes.
        type: int
        default: 1
      capacity:
        description: What it offers, quantities by resource, such as V(cpu), V(memory) and V(pods). Needed
          without O(add_nodes[].like). By default 110 pods.
        type: dict
      labels:
        description: Its labels.
        type: dict
      taints:
        description: What keeps pods away that do not tolerate it.
        type: list
        elements: dict
        suboptions:
          key:
            description: Name of the taint.
            type: str
            required: true
          value:
            description: Value of the taint.
            type: str
          effect:
            description: What it does to pods that do not tolerate it.
            type: str
            required: true
            choices: [NoSchedule, PreferNoSchedule, NoExecute]
  remove_nodes:
    description: For O(state=planned), names of nodes to leave out as if they had gone.
    type: list
    elements: str
  cordon_nodes:
    description: For O(state=planned), names of nodes to reckon with as if they took no new pods.
    type: list
    elements: str
  uncordon_nodes:
    description: For O(state=planned), names of nodes to reckon with as if they took new pods.
    type: list
    elements: str
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

- name: Ask whether two more machines would do, and one less of the old
  navarch.cluster.schedule:
    state: planned
    replicas: 20
    template:
      containers:
        - name: web
          image: busybox:1.36
          resources:
            requests:
              cpu: 500m
    add_nodes:
      - name: new
        like: node-1
        count: 2
    remove_nodes: [node-2]
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
      description: Each node, whether the pod could run there, and its score if so, or what speaks against it.
      type: list
      elements: dict
      sample:
        - name: node-2
          feasible: true
          score: 87.5
        - name: node-1
          feasible: false
          reasons:
            - Insufficient cpu
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.fields import argument_spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._pods import spec as pod_spec
from ansible_collections.navarch.cluster.plugins.module_utils._resources.nodes import TAINTS
from ansible_collections.navarch.cluster.plugins.module_utils._resources.scheduling import bind, plan

RULES: args.Spec = {
    "required_if": [
        ("state", "bound", ["pod", "node"]),
        ("state", "planned", ["pod", "pods", "template"], True),
    ],
    "mutually_exclusive": [("pod", "pods", "template")],
}


def spec() -> args.Spec:
    own = {
        "state": {"type": "str", "choices": ["bound", "planned"], "default": "bound"},
        "pod": {"type": "str"},
        "node": {"type": "str"},
        "namespace": {"type": "str", "default": "default"},
        "replicas": {"type": "int", "default": 1},
        "pods": {"type": "list", "elements": "str"},
        "add_nodes": {
            "type": "list",
            "elements": "dict",
            "options": dict(
                argument_spec(TAINTS),
                name={"type": "str", "required": True},
                like={"type": "str"},
                count={"type": "int", "default": 1},
                capacity={"type": "dict"},
                labels={"type": "dict"},
            ),
        },
        "remove_nodes": {"type": "list", "elements": "str"},
        "cordon_nodes": {"type": "list", "elements": "str"},
        "uncordon_nodes": {"type": "list", "elements": "str"},
    }
    return args.merge(pod_spec.template_spec(placed=True), own)


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    if params["state"] == "bound":
        return bind(client, params["namespace"], params["pod"], params["node"])
    return plan(client, params)


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
