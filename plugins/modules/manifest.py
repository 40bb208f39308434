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
  - An existing object is compared with its manifest, and with what was last applied to it (a three-way
    merge, kept in the same annotation as by C(kubectl apply)). Fields that an earlier manifest named and this
    one does not are taken away. What none of them named is left alone. Lists that are given are meant whole,
    mappings key by key, and V(null) takes a field away.
  - In check mode with C(--diff) it is a report of what differs between the manifests and the cluster.
  - Objects that fail do not keep others of their kind from being tried. What depends on them is not tried
    any more. The result names what became of each object, also when the task fails.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.wait
  - navarch.cluster.wait.pods
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
      - An object with C(metadata.generateName) and no name is made once more by each run, under a name that
        the cluster makes. Such a task is not idempotent.
    type: raw
    aliases: [definitions]
  src:
    description:
      - Where objects are, in YAML or JSON. Paths of files, folders or patterns such as V(web/*.yml), and
        addresses that begin with C(http://) or C(https://).
      - Files are read on the controller, where vaulted ones are decrypted, and relative paths are looked for
        in C(files) of the role and beside the playbook. With O(remote_src=true) they are read on the host on
        which the task runs.
    type: list
    elements: path
  recurse:
    description: Whether O(src) reads the folders below its folders too, and C(**) in patterns means any
      number of them.
    type: bool
    default: false
  remote_src:
    description: Whether the files of O(src) are on the host on which the task runs.
    type: bool
    default: false
  template:
    description:
      - Paths of Jinja templates of such files, looked for in C(templates) of the role and beside the
        playbook. They are rendered on the controller, with the variables of the task.
    type: list
    elements: path
  template_vars:
    description: Further variables for O(template).
    type: dict
  namespace:
    description: Namespace of those objects that need one and do not name it.
    type: str
    default: default
  set:
    description:
      - Name of the set that these objects make up. Sets of one name in different O(namespace) are different
        sets.
      - The set is an ApplySet, as C(kubectl apply --applyset) has them. The objects get the label
        C(applyset.kubernetes.io/part-of). Its parent is the config map C(navarch-set-NAME) in O(namespace).
      - An object that belongs to another set is refused, and so is a set that another tool manages.
      - Sets of earlier versions, with the label C(navarch.io/set), become ApplySets by their next task.
    type: str
  prune:
    description:
      - Whether to delete the objects of O(set) that are not in this task, when all that are have succeeded.
        They are looked for only in kinds and namespaces in which the set has had members.
      - Objects that a controller owns are left to it. Namespaces, definitions of kinds and persistent volumes
        are left with a warning, since more would go with them.
      - With O(state=absent) the whole set is deleted, and its record.
    type: bool
    default: false
  server_side_apply:
    description:
      - Have the cluster merge the objects instead (server-side apply). It keeps which manager has set which
        field, refuses what another one has set, and takes away what this one no longer names. Nothing is
        kept in an annotation.
    type: dict
    suboptions:
      field_manager:
        description: Name of this manager.
        type: str
        required: true
      force_conflicts:
        description: Whether to take over fields that another manager has set. Otherwise the task fails and
          names them.
        type: bool
        default: false
  patches:
    description:
      - Operations of a JSON patch (RFC 6902), for objects that exist. Of O(definition), O(src) and
        O(template) only their kinds and names matter then.
      - What they leave as it is counts as no change, but not every patch does the same when it is sent again.
        One that adds to the end of a list adds again.
    type: list
    elements: dict
    suboptions:
      op:
        description: What to do.
        type: str
        required: true
        choices: [add, remove, replace, move, copy, test]
      path:
        description: Where, such as V(/spec/replicas). In keys, V(~1) stands for V(/) and V(~0) for V(~).
        type: str
        required: true
      from:
        description: From where, for V(move) and V(copy).
        type: str
      value:
        description: The value, for V(add), V(replace) and V(test).
        type: raw
  wait_condition:
    description: With O(wait=true), the condition in C(status.conditions) to wait for, instead of what is
      known of a kind.
    type: dict
    suboptions:
      type:
        description: Name of the condition.
        type: str
        required: true
      status:
        description: What it shall be.
        type: str
        choices: ["True", "False", "Unknown"]
        default: "True"
      reason:
        description: The reason it shall have. By default any.
        type: str
      kind:
        description: Only objects of this kind are waited for so. By default all.
        type: str
notes:
  - O(wait=true) waits for pods, replication controllers, deployments, stateful sets, daemon sets and replica
    sets to be ready, for jobs to be complete, for services to have a pod that serves, for namespaces to be
    active and for definitions of kinds to be served; for other kinds as O(wait_condition) says; and with
    O(state=absent) for all objects to be gone. One watch follows all objects of a kind in a namespace. When
    one has failed for good the task fails at once.
  - What Secrets hold is never shown, neither in the result nor in a diff.
  - An object whose manifest has more than 200 kB without the texts in it that are longer than 1000 characters
    is not recorded, with a warning. Fields that its manifest names no more stay then.
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
      - manifests
    namespace: shop
  check_mode: true
  diff: true
  register: drift

- name: Show what differs
  ansible.builtin.debug:
    msg: "{{ drift.objects | selectattr('changed') | map(attribute='name') }}"

- name: All that the folder describes, and nothing of the set beside it
  navarch.cluster.manifest:
    src: manifests/*.yml
    template: manifests/settings.yml.j2
    template_vars:
      level: debug
    namespace: shop
    set: shop
    prune: true
    wait: true

- name: The cluster keeps who has set which field
  navarch.cluster.manifest:
    src: manifests/web.yml
    namespace: shop
    server_side_apply:
      field_manager: shop

- name: The first port leads elsewhere
  navarch.cluster.manifest:
    definition:
      apiVersion: v1
      kind: Service
      metadata:
        name: web
        namespace: shop
    patches:
      - op: replace
        path: /spec/ports/0/targetPort
        value: 8081

- name: A pod that runs once more each time
  navarch.cluster.manifest:
    definition:
      apiVersion: v1
      kind: Pod
      metadata:
        generateName: report-
        namespace: shop
      spec:
        restartPolicy: Never
        containers:
          - name: report
            image: busybox:1.36
            command: [date]

- name: The service is gone
  navarch.cluster.manifest:
    state: absent
    definition:
      apiVersion: v1
      kind: Service
      metadata:
        name: web
        namespace: shop

- name: All of the set is gone
  navarch.cluster.manifest:
    state: absent
    namespace: shop
    set: shop
    prune: true
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
    differs:
      description: Where the existing object was not as described. Only where it was not.
      type: list
      elements: str
      sample:
        - spec.ports[80/TCP].targetPort
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

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources.apply import Task
from ansible_collections.navarch.cluster.plugins.module_utils._resources.manifest_loading import gather
from ansible_collections.navarch.cluster.plugins.module_utils._resources.redaction import (
    HIDDEN,
    of_secrets,
    patch_values,
    secret_values,
    shown_definition,
)
from ansible_collections.navarch.cluster.plugins.module_utils._resources.server_writes import OPERATIONS

RULES: args.Spec = {
    "required_one_of": [("definition", "src", "template", "set")],
    "required_if": [("prune", True, ["set"])],
    "mutually_exclusive": [("patches", "server_side_apply")],
}


def spec() -> args.Spec:
    own = {
        "definition": {"type": "raw", "aliases": ["definitions"]},
        "src": {"type": "list", "elements": "path"},
        "recurse": {"type": "bool", "default": False},
        "remote_src": {"type": "bool", "default": False},
        "template": {"type": "list", "elements": "path"},
        "template_vars": {"type": "dict"},
        "namespace": {"type": "str", "default": "default"},
        "set": {"type": "str"},
        "prune": {"type": "bool", "default": False},
        "wait_condition": {
            "type": "dict",
            "options": {
                "type": {"type": "str", "required": True},
                "status": {"type": "str", "choices": ["True", "False", "Unknown"], "default": "True"},
                "reason": {"type": "str"},
                "kind": {"type": "str"},
            },
        },
    }
    own["server_side_apply"] = {
        "type": "dict",
        "options": {
            "field_manager": {"type": "str", "required": True},
            "force_conflicts": {"type": "bool", "default": False},
        },
    }
    own["patches"] = {
        "type": "list",
        "elements": "dict",
        "options": {
            "op": {"type": "str", "required": True, "choices": list(OPERATIONS)},
            "path": {"type": "str", "required": True},
            "from": {"type": "str"},
            "value": {"type": "raw"},
        },
    }
    return args.merge(args.state_spec(), args.wait_spec(), args.patience_spec(), own)


def hidden(params: t.Mapping[str, t.Any]) -> set[str]:
    return secret_values(params) | patch_values(params)


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return Task(client, params, gather(params)).run()


def told(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options as they are told with the result."""
    shown = {
        key: shown_definition(value) if key in ("definition", "definitions") else value
        for key, value in params.items()
    }
    if shown.get("patches") and of_secrets(params):
        shown["patches"] = [
            dict(one, value=HIDDEN) if isinstance(one, dict) and "value" in one else one
            for one in shown["patches"]
        ]
    return shown


def main() -> None:
    run_module(run, spec(), hidden, told, **RULES)


if __name__ == "__main__":
    main()
