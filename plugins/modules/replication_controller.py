# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.replication_controller. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replication_controller
short_description: Keep a number of like pods running
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Creates, changes and deletes replication controllers of a Navarch cluster, or of any other cluster that
    speaks the Kubernetes API.
  - An existing one is compared with the options that were given. What the task does not name is left alone.
    Lists that are given are meant whole, mappings such as O(labels) key by key.
  - A changed O(template) is that of pods to come. Pods that already run are not replaced by it.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.definition
  - navarch.cluster.definition.namespaced
  - navarch.cluster.metadata
  - navarch.cluster.pod_spec.template
  - navarch.cluster.wait
  - navarch.cluster.wait.pods
options:
  state:
    description:
      - V(present) makes sure that it exists and is as described.
      - V(absent) makes sure that it does not exist. Its pods go with it.
    type: str
    choices: [present, absent]
    default: present
  replicas:
    description:
      - How many pods shall run. A new one gets one when this is not set, an existing one keeps its number.
    type: int
  selector:
    description:
      - Labels by which it knows its pods. By default the labels of the O(template).
    type: dict
seealso:
  - module: navarch.cluster.pod
  - module: navarch.cluster.pod_info
"""

EXAMPLES = r"""
- name: Three web servers are running and ready
  navarch.cluster.replication_controller:
    name: web
    replicas: 3
    template:
      labels:
        app: web
      containers:
        - name: web
          image: busybox:1.36
          command: [httpd, -f, -p, "8080"]
          ports:
            - container_port: 8080
    wait: true

- name: Each on a node of its own, and as many in one zone as in the other
  navarch.cluster.replication_controller:
    name: db
    replicas: 2
    template:
      labels:
        app: db
      containers:
        - name: db
          image: busybox:1.36
          command: [sleep, infinity]
      affinity:
        pod_anti:
          required:
            - topology_key: kubernetes.io/hostname
              label_selector:
                match_labels:
                  app: db
      topology_spread_constraints:
        - max_skew: 1
          topology_key: topology.kubernetes.io/zone
          when_unsatisfiable: ScheduleAnyway
          label_selector:
            match_labels:
              app: db

- name: Two are enough
  navarch.cluster.replication_controller:
    name: web
    replicas: 2

- name: As many again, in the API's own words
  navarch.cluster.replication_controller:
    replicas: 3
    definition: |
      metadata:
        name: web
      spec:
        template:
          spec:
            enableServiceLinks: false

- name: None are needed
  navarch.cluster.replication_controller:
    name: web
    state: absent
    wait: true
"""

RETURN = r"""
replication_controller:
  description:
    - The replication controller as the cluster has it. In check mode, as the cluster would have it.
    - V(null) after its deletion.
  returned: success
  type: dict
  sample:
    apiVersion: v1
    kind: ReplicationController
    metadata:
      name: web
      namespace: default
    spec:
      replicas: 3
    status:
      readyReplicas: 3
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils import args, podspec
from ansible_collections.navarch.cluster.plugins.module_utils.client import REPLICATION_CONTROLLER, Client
from ansible_collections.navarch.cluster.plugins.module_utils.definition import (
    RULES,
    definition_spec,
    identified,
    over,
)
from ansible_collections.navarch.cluster.plugins.module_utils.resource import (
    absent,
    definition,
    everything_mutable,
    present,
)
from ansible_collections.navarch.cluster.plugins.module_utils.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils.wait import controller_gone, controller_ready

KEY = "replication_controller"


def spec() -> args.Spec:
    own = {"replicas": {"type": "int"}, "selector": {"type": "dict"}}
    return args.merge(
        definition_spec(),
        args.state_spec(),
        podspec.metadata_spec(),
        podspec.template_spec(),
        args.wait_spec(),
        args.patience_spec(),
        own,
    )


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    params = identified(params, REPLICATION_CONTROLLER)
    kind, name, namespace, timeout = (
        REPLICATION_CONTROLLER,
        params["name"],
        params["namespace"],
        params["wait_timeout"],
    )
    if params["state"] == "absent":
        outcome = absent(client, kind, namespace, name, None, params["wait"], timeout)
        if params["wait"] and outcome.before and not client.dry_run:
            controller_gone(client, outcome.before, timeout)
        return outcome.result(KEY)
    typed = definition(
        kind, name, namespace, podspec.metadata_to_api(params), podspec.controller_to_api(params)
    )
    asked = over(params["definition"], typed)
    outcome = present(client, kind, asked, everything_mutable, timeout=timeout)

    def wait(live: dict[str, t.Any]) -> dict[str, t.Any]:
        return controller_ready(client, live, timeout, params["wait_unschedulable"])

    return outcome.finish(KEY, wait if params["wait"] and not client.dry_run else None)


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
