# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.manifest. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest
short_description: Apply or delete objects of any kind, as manifests describe them
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Brings any number of objects of any kinds to the wanted state, in a Navarch cluster or any other cluster
    that speaks the Kubernetes API. They are sent in the order in which they need each other, several at a
    time.
  - An existing object is compared with its manifest. What the manifest does not name is left alone. Lists
    that are given are meant whole, mappings key by key, and V(null) takes a field away.
  - In check mode with C(--diff) it is a report of what differs between the manifests and the cluster.
  - Objects that fail do not keep others of their kind from being tried. What depends on them is not tried
    any more. The result names what became of each object, also when the task fails.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.wait
options:
  state:
    description:
      - V(present) makes sure that the objects exist and are as described.
      - V(absent) makes sure that they do not exist. Only their kinds and names matter then.
    type: str
    choices: [present, absent]
    default: present
  definition:
    description:
      - The objects. One of them, a list of them, or YAML text with any number of documents.
    type: raw
  src:
    description:
      - Paths of files with objects, in YAML or JSON, or of folders of such files.
      - They are read on the host on which the task runs.
    type: list
    elements: path
  namespace:
    description: Namespace of those objects that need one and do not name it.
    type: str
    default: default
notes:
  - O(wait=true) waits for pods and replication controllers to be ready, or for all objects to be gone.
  - What Secrets hold is never shown, neither in the result nor in a diff.
seealso:
  - module: navarch.cluster.object_info
"""

EXAMPLES = r"""
- name: A namespace with a service in it
  navarch.cluster.manifest:
    definition: |
      apiVersion: v1
      kind: Namespace
      metadata:
        name: shop
      ---
      apiVersion: v1
      kind: Service
      metadata:
        name: web
        namespace: shop
      spec:
        selector:
          app: web
        ports:
          - port: 80
            targetPort: 8080

- name: Report how the cluster differs from the files
  navarch.cluster.manifest:
    src:
      - /srv/manifests
    namespace: shop
  check_mode: true
  diff: true
  register: drift

- name: Show what differs
  ansible.builtin.debug:
    msg: "{{ drift.objects | selectattr('changed') | map(attribute='name') }}"

- name: The service is gone
  navarch.cluster.manifest:
    state: absent
    definition:
      apiVersion: v1
      kind: Service
      metadata:
        name: web
        namespace: shop
"""

RETURN = r"""
objects:
  description: What became of each object, in the order in which they were sent.
  returned: always, but for wrong options
  type: list
  elements: dict
  contains:
    api_version:
      description: Group and version.
      type: str
      sample: v1
    kind:
      description: Kind.
      type: str
      sample: Service
    name:
      description: Name.
      type: str
      sample: web
    namespace:
      description: Namespace. V(null) for kinds that have none.
      type: str
      sample: shop
    action:
      description: One of V(created), V(changed), V(recreated), V(deleted), V(unchanged), V(failed) and
        V(not tried).
      type: str
      sample: created
    changed:
      description: Whether the object was changed.
      type: bool
      sample: true
    object:
      description: The object as the cluster has it, or in check mode would have it. V(null) after its
        deletion.
      type: dict
    error:
      description: Why it failed. Only where it did.
      type: str
counts:
  description: How many objects had each RV(objects[].action).
  returned: always, but for wrong options
  type: dict
  sample:
    created: 2
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils import args
from ansible_collections.navarch.cluster.plugins.module_utils.apply import Task
from ansible_collections.navarch.cluster.plugins.module_utils.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils.documents import gather, secret_values
from ansible_collections.navarch.cluster.plugins.module_utils.runner import run_module

RULES: args.Spec = {"required_one_of": [("definition", "src")]}
hidden = secret_values


def spec() -> args.Spec:
    own = {
        "definition": {"type": "raw"},
        "src": {"type": "list", "elements": "path"},
        "namespace": {"type": "str", "default": "default"},
    }
    return args.merge(args.state_spec(), args.wait_spec(), own)


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return Task(client, params, gather(params)).run()


def main() -> None:
    run_module(run, spec(), hidden, **RULES)


if __name__ == "__main__":
    main()
