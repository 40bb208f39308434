# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.pod. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod
short_description: Run a pod
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Creates, changes, replaces and deletes pods of a Navarch cluster, or of any other cluster that speaks
    the Kubernetes API.
  - An existing pod is compared with the options that were given. What the task does not name is left alone.
    Lists that are given are meant whole, mappings such as O(labels) key by key.
  - On an existing pod only O(labels), O(annotations), the images of its containers and additional
    O(tolerations) can be changed.
    Anything else needs a new pod, which is made only with O(recreate=true).
  - A pod that does not exist needs O(containers), here or in O(definition). For one that does they may be
    left out.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.definition
  - navarch.cluster.definition.namespaced
  - navarch.cluster.metadata
  - navarch.cluster.pod_spec
  - navarch.cluster.wait
  - navarch.cluster.wait.pods
options:
  state:
    description:
      - V(present) makes sure that the pod exists and is as described.
      - V(absent) makes sure that it does not exist.
    type: str
    choices: [present, absent]
    default: present
  recreate:
    description:
      - Delete the pod and make a new one when the options cannot be applied to the existing pod.
      - When V(false), such a task fails and names the options.
    type: bool
    default: false
  delete_grace_period:
    description:
      - Seconds that the containers get to end by themselves when the pod is deleted. V(0) does not let them.
      - By default the pod's own O(termination_grace_period).
    type: int
  wait_for:
    description:
      - What to wait for with O(wait=true) and O(state=present).
      - V(Scheduled) - the pod has a node.
      - V(Running) - all its containers have started.
      - V(Ready) - it is ready to serve.
      - V(Succeeded) - all its containers have ended well.
    type: str
    choices: [Scheduled, Running, Ready, Succeeded]
    default: Ready
seealso:
  - module: navarch.cluster.pod_info
  - module: navarch.cluster.pod_logs
  - module: navarch.cluster.replication_controller
"""

EXAMPLES = r"""
- name: A web server is running and ready
  navarch.cluster.pod:
    name: web
    labels:
      app: web
    containers:
      - name: web
        image: busybox:1.36
        command: [httpd, -f, -p, "8080", -h, /www]
        ports:
          - container_port: 8080
        resources:
          requests:
            cpu: 100m
            memory: 32Mi
        volume_mounts:
          - name: pages
            mount_path: /www
    volumes:
      - name: pages
        empty_dir: {}
    wait: true

- name: A job runs to its end
  navarch.cluster.pod:
    name: migrate
    restart_policy: Never
    containers:
      - name: migrate
        image: example/migrate:3
        env:
          - name: DATABASE_PASSWORD
            value_from:
              secret_key:
                name: database
                key: password
    wait: true
    wait_for: Succeeded
    wait_timeout: 600

- name: A pod in the API's own words, with another image
  navarch.cluster.pod:
    definition:
      metadata:
        name: raw
      spec:
        terminationGracePeriodSeconds: 0
        containers:
          - name: c
            image: busybox:1.36
            securityContext:
              readOnlyRootFilesystem: true
    labels:
      app: raw

- name: The pod has one more label
  navarch.cluster.pod:
    name: raw
    labels:
      tier: back

- name: It is gone
  navarch.cluster.pod:
    name: raw
    state: absent
    wait: true

- name: The web server is gone
  navarch.cluster.pod:
    name: web
    state: absent
    wait: true
"""

RETURN = r"""
pod:
  description:
    - The pod as the cluster has it. In check mode, as the cluster would have it.
    - V(null) after its deletion.
  returned: success
  type: dict
  sample:
    apiVersion: v1
    kind: Pod
    metadata:
      name: web
      namespace: default
    spec:
      nodeName: node-1
    status:
      phase: Running
      podIP: 10.244.0.7
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import POD, Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._pods import spec as pod_spec
from ansible_collections.navarch.cluster.plugins.module_utils._pods.state import GOALS, immutable_options
from ansible_collections.navarch.cluster.plugins.module_utils._resources.definition import (
    definition_spec,
    identified,
    over,
)
from ansible_collections.navarch.cluster.plugins.module_utils._resources.present import (
    absent,
    definition,
    present,
)
from ansible_collections.navarch.cluster.plugins.module_utils._wait.waiting import pod_reaches

RULES: args.Spec = {
    "required_one_of": [["name", "definition"]],
}


def spec() -> args.Spec:
    own = {
        "recreate": {"type": "bool", "default": False},
        "delete_grace_period": {"type": "int"},
        "wait_for": {"type": "str", "choices": list(GOALS), "default": "Ready"},
    }
    return args.merge(
        definition_spec(),
        args.state_spec(),
        pod_spec.metadata_spec(),
        pod_spec.pod_spec(),
        args.wait_spec(),
        args.patience_spec(),
        own,
    )


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    params = identified(params, POD)
    name, namespace, timeout = params["name"], params["namespace"], params["wait_timeout"]
    if params["state"] == "absent":
        return absent(
            client, POD, namespace, name, params["delete_grace_period"], params["wait"], timeout
        ).result("pod")
    typed = definition(POD, name, namespace, pod_spec.metadata_to_api(params), pod_spec.spec_to_api(params))
    asked = over(params["definition"], typed)
    live = client.get(POD, namespace, name)
    _hold_containers(asked, live, params["recreate"])
    outcome = present(client, POD, asked, immutable_options, params["recreate"], timeout, seen=[live])

    def wait(live: dict[str, t.Any]) -> dict[str, t.Any]:
        goal, patient = params["wait_for"], params["wait_unschedulable"]
        return pod_reaches(client, namespace, name, goal, timeout, patient, params["min_ready_seconds"])

    return outcome.finish("pod", wait if params["wait"] and not client.dry_run else None)


def _hold_containers(asked: t.Any, live: t.Any, recreate: bool) -> None:
    """A pod that exists keeps its containers. A new one needs some, before the old one is deleted."""
    if (asked.get("spec") or {}).get("containers"):
        return
    if live is None or live["metadata"].get("deletionTimestamp"):
        raise OptionError("containers", "a new pod needs them, or definition; there is no such pod yet")
    if recreate:
        raise OptionError("recreate", "needs containers or definition, which a new pod is made of")


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
