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
  - A changed O(template) is that of pods to come. Pods that already run are replaced by O(update=one_by_one)
    only. Without it, a task that changes the template, or waits, warns of pods that run an older one.
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
  update:
    description:
      - What becomes of pods that are not as O(template) has them.
      - V(on_delete) leaves them until somebody deletes them.
      - V(one_by_one) deletes one, waits until the one that comes in its place is ready as
        O(min_ready_seconds) has it, whatever O(wait) says, and goes on with the next. Pods that are not ready
        are first. When a new pod does not become ready the task fails, and the pods that are left go on
        running.
      - The cluster itself is asked what a pod of the template would look like. So what it adds to pods by
        itself is no difference, nor are labels and annotations that were put on a pod later.
      - O(wait_timeout) is for each of the pods then. Disruption budgets are not asked.
    type: str
    choices: [on_delete, one_by_one]
    default: on_delete
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

- name: All pods run the new version, one after the other
  navarch.cluster.replication_controller:
    name: web
    template:
      containers:
        - name: web
          image: busybox:1.37
          command: [httpd, -f, -p, "8080"]
          ports:
            - container_port: 8080
    update: one_by_one

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
replaced:
  description: The pods that were replaced, in check mode those that would be. They are gone.
  returned: with O(update=one_by_one)
  type: list
  elements: str
  sample: [web-x7k2p]
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import (
    REPLICATION_CONTROLLER,
    Client,
)
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._pods import spec as pod_spec
from ansible_collections.navarch.cluster.plugins.module_utils._resources import rollout
from ansible_collections.navarch.cluster.plugins.module_utils._resources.definition import (
    RULES,
    definition_spec,
    identified,
    over,
)
from ansible_collections.navarch.cluster.plugins.module_utils._resources.present import (
    absent,
    definition,
    everything_mutable,
    present,
)
from ansible_collections.navarch.cluster.plugins.module_utils._wait.waiting import (
    controller_gone,
    controller_ready,
)

KEY = "replication_controller"


def spec() -> args.Spec:
    own = {
        "replicas": {"type": "int"},
        "selector": {"type": "dict"},
        "update": {"type": "str", "choices": ["on_delete", "one_by_one"], "default": "on_delete"},
    }
    return args.merge(
        definition_spec(),
        args.state_spec(),
        pod_spec.metadata_spec(),
        pod_spec.template_spec(),
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
        kind, name, namespace, pod_spec.metadata_to_api(params), pod_spec.controller_to_api(params)
    )
    asked = over(params["definition"], typed)
    outcome = present(client, kind, asked, everything_mutable, timeout=timeout)
    old: list[rollout.Old] = []
    if outcome.before and outcome.live:
        if params["update"] == "one_by_one":
            old = rollout.old_pods(client, outcome.live)
            outcome.replaced = {one.name: one.where() for one in old}
        elif params["wait"] or rollout.changes_template(outcome.differing):
            outcome.warnings += rollout.warning(client, outcome.live)

    def wait(live: dict[str, t.Any]) -> dict[str, t.Any]:
        patient, min_ready = params["wait_unschedulable"], params["min_ready_seconds"]
        rollout.replace_one_by_one(client, live, old, timeout, patient, min_ready)
        return controller_ready(client, live, timeout, patient, min_ready)

    result = outcome.finish(KEY, wait if (params["wait"] or old) and not client.dry_run else None)
    return dict(result, replaced=sorted(outcome.replaced)) if params["update"] == "one_by_one" else result


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
