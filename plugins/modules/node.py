# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.node. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node
short_description: Manage the nodes of the cluster
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Sets labels, annotations and taints of a node, keeps new pods from it, empties it, and takes it out of the
    cluster. Of a Navarch cluster, or of any other cluster that speaks the Kubernetes API.
  - A node comes by joining the cluster, not by this module.
  - O(state=drained) evicts the pods of the node. Pods of daemon sets and static pods stay, as they would be
    back at once.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.wait
options:
  name:
    description: Name of the node.
    type: str
    required: true
  state:
    description:
      - V(present) makes sure that the node is as described.
      - V(drained) makes sure that it takes no pods and has none.
      - V(absent) makes sure that the cluster does not know it. What runs on the machine is not touched.
      - A Navarch cluster throws it out by that, at once. It accepts neither the client certificate of the
        node nor the tokens of its pods any more, and renews none. The node comes back by joining again, with
        a join token that was made later. Join tokens that it may know are yours to delete
        (C(navarch token delete)).
      - Another Kubernetes cluster deletes the Node only. Its kubelet may register again.
    type: str
    choices: [present, drained, absent]
    default: present
  labels:
    description: Labels that the node shall have. V(null) takes one away. Its other labels are left alone.
    type: dict
  annotations:
    description: Annotations that the node shall have. V(null) takes one away. The others are left alone.
    type: dict
  taints:
    description:
      - What keeps pods away that do not tolerate it. The list is meant whole.
      - Taints that the cluster itself sets, C(node.kubernetes.io/...), are left alone.
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
  schedulable:
    description: Whether the node takes new pods (V(false) is what others call cordoned).
    type: bool
  force:
    description: For O(state=drained), evict also pods that no controller makes anew elsewhere.
    type: bool
    default: false
  delete_empty_dir_data:
    description:
      - For O(state=drained), evict also pods with volumes of type C(emptyDir), whose data is lost by that.
      - Pods that have run to their end do not count.
    type: bool
    default: false
  delete_grace_period:
    description: Seconds that evicted pods get to end by themselves. By default what each pod says.
    type: int
seealso:
  - module: navarch.cluster.node_info
  - module: navarch.cluster.schedule
"""

EXAMPLES = r"""
- name: The node has fast disks, for databases only
  navarch.cluster.node:
    name: node-1
    labels:
      disk: fast
    taints:
      - key: databases
        effect: NoSchedule

- name: The node is empty before its maintenance
  navarch.cluster.node:
    name: node-1
    state: drained
    wait: true
    wait_timeout: 300

- name: It takes pods again
  navarch.cluster.node:
    name: node-1
    schedulable: true

- name: It has left for good, and what it knows opens nothing any more
  navarch.cluster.node:
    name: node-2
    state: absent
"""

RETURN = r"""
node:
  description:
    - The node as the cluster has it. In check mode, as the cluster would have it.
    - V(null) after its deletion.
  returned: success
  type: dict
  sample:
    apiVersion: v1
    kind: Node
    metadata:
      name: node-1
    spec:
      unschedulable: true
revocation:
  description:
    - What has the cluster refuse the certificates and tokens that the node got so far, an object of the kind
      C(NodeRevocation).
    - V(null) in a cluster that has no such kind.
  returned: when O(state=absent)
  type: dict
  sample:
    apiVersion: authentication.navarch.io/v1alpha1
    kind: NodeRevocation
    metadata:
      name: node-2
    spec:
      issuedBefore: "2026-01-31T12:00:00Z"
evicted:
  description: The pods that had to leave, by namespace and name.
  returned: when O(state=drained)
  type: list
  elements: str
  sample:
    - default/web-x7k2p
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources import nodes


def spec() -> Spec:
    return nodes.node_spec()


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return nodes.node(client, params)


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
