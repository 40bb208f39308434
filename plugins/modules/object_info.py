# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.object_info. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: object_info
short_description: Look at objects of any kind
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns objects of any kind that a Navarch cluster, or any other cluster that speaks the Kubernetes API,
    has.
  - What Secrets hold is not shown, unless O(reveal=true).
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
  - navarch.cluster.selectors
  - navarch.cluster.named.reveal
options:
  kind:
    description: The kind, as objects write it, such as V(Service), or its plural or short name, such as
      V(services) or V(svc).
    type: str
    required: true
  api_version:
    description:
      - Group and version of the API that has the kind, such as V(v1) or V(apps/v1).
      - By default all groups are looked through, the core first.
    type: str
  name:
    description: Only the object of this name.
    type: str
  namespace:
    description:
      - Namespace to look into. By default all of them, or V(default) when O(name) is set.
      - Of no account for kinds that have no namespaces.
    type: str
seealso:
  - module: navarch.cluster.manifest
  - module: navarch.cluster.pod_info
  - module: navarch.cluster.node_info
"""

EXAMPLES = r"""
- name: Look at the services of a namespace
  navarch.cluster.object_info:
    kind: Service
    namespace: shop
  register: services

- name: Show their addresses
  ansible.builtin.debug:
    msg: "{{ services.objects | map(attribute='spec.clusterIP') }}"

- name: Look at what happened to a pod
  navarch.cluster.object_info:
    kind: events
    namespace: default
    field_selectors:
      - involvedObject.name=web
"""

RETURN = r"""
objects:
  description: The objects that were found, by namespace and name. Empty when there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: v1
      kind: Service
      metadata:
        name: web
        namespace: shop
      spec:
        clusterIP: 10.96.0.17
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.discovery import kind_of
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources.info import find
from ansible_collections.navarch.cluster.plugins.module_utils._resources.redaction import without_secrets


def spec() -> args.Spec:
    own = {
        "kind": {"type": "str", "required": True},
        "api_version": {"type": "str"},
        "name": {"type": "str"},
        "namespace": {"type": "str"},
    }
    return args.merge(args.selectors_spec(), args.reveal_spec(), own)


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    kind = kind_of(client, params["kind"], params["api_version"])
    namespace = params["namespace"] or ("default" if params["name"] else None)
    objects = find(client, kind, namespace, params)
    if not params["reveal"]:
        objects = [without_secrets(item) or item for item in objects]
    return {"changed": False, "objects": objects}


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
