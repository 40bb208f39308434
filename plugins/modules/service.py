# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.service. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service
short_description: Give pods one lasting address
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Creates, changes and deletes services of a Navarch cluster, or of any other cluster that speaks the
    Kubernetes API.
  - An existing one is compared with the options that were given. What the task does not name is left alone.
    O(ports) and O(selector) are meant whole.
  - With O(wait=true) the task ends when at least one pod serves.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.definition
  - navarch.cluster.definition.namespaced
  - navarch.cluster.metadata
  - navarch.cluster.state
  - navarch.cluster.wait
options:
  type:
    description: From where it can be reached, and how. The cluster takes V(ClusterIP) for a new one.
    type: str
    choices: [ClusterIP, NodePort, LoadBalancer, ExternalName]
  selector:
    description: Labels of the pods that serve.
    type: dict
  ports:
    description:
      - Its ports.
      - 'Or a mapping of names to ports, such as V({http: 80}).'
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the port. Needed when there are several.
        type: str
      port:
        description: The port at the address of the service.
        type: int
        required: true
      target_port:
        description: The port of the pods, as a number or by its name in their containers. By default the
          same as O(ports[].port).
        type: str
      node_port:
        description: The port on every node, for types that have one. By default the cluster chooses.
        type: int
      protocol:
        description: Its protocol. The cluster takes V(TCP) by default.
        type: str
        choices: [TCP, UDP, SCTP]
      app_protocol:
        description: What is spoken over it, such as V(http). A hint for others.
        type: str
  cluster_ip:
    description:
      - Its address within the cluster. By default the cluster chooses. It is for good.
      - V(None) is a service without an address, whose name stands for the addresses of its pods.
    type: str
  external_ips:
    description: Further addresses at which the nodes take what is for this service.
    type: list
    elements: str
  external_name:
    description: The name that a service of type V(ExternalName) stands for.
    type: str
  session_affinity:
    description: Whether a client stays with one pod.
    type: str
    choices: [None, ClientIP]
  internal_traffic_policy:
    description: Whether what comes from within the cluster may go to pods of other nodes.
    type: str
    choices: [Cluster, Local]
  external_traffic_policy:
    description: Whether what comes from outside may go to pods of other nodes.
    type: str
    choices: [Cluster, Local]
  publish_not_ready_addresses:
    description: Whether pods serve before they are ready.
    type: bool
seealso:
  - module: navarch.cluster.pod
  - module: navarch.cluster.replication_controller
"""

EXAMPLES = r"""
- name: The web servers have one address
  navarch.cluster.service:
    name: web
    selector:
      app: web
    ports:
      - port: 80
        target_port: 8080

- name: They can be reached at every node
  navarch.cluster.service:
    name: web
    type: NodePort

- name: Clients stay with a pod for an hour
  navarch.cluster.service:
    name: web
    session_affinity: ClientIP
    definition:
      spec:
        sessionAffinityConfig:
          clientIP:
            timeoutSeconds: 3600

- name: The address is gone
  navarch.cluster.service:
    name: web
    state: absent
"""

RETURN = r"""
service:
  description:
    - The service as the cluster has it. In check mode, as the cluster would have it.
    - V(null) after its deletion.
  returned: success
  type: dict
  sample:
    apiVersion: v1
    kind: Service
    metadata:
      name: web
      namespace: default
    spec:
      clusterIP: 10.96.0.17
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources import simple_kinds
from ansible_collections.navarch.cluster.plugins.module_utils._resources.definition import RULES


def spec() -> Spec:
    return simple_kinds.service_spec()


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return simple_kinds.service(client, params)


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
