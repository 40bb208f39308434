# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.replication_controller_info, written by tools/kinds.py from tools/kinds.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replication_controller_info
short_description: Look at replication controllers
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns replication controllers of a Navarch cluster, or of any other cluster that speaks the Kubernetes
    API.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
  - navarch.cluster.selectors
  - navarch.cluster.named
  - navarch.cluster.named.namespaced
options: {}
seealso:
  - module: navarch.cluster.replication_controller
  - module: navarch.cluster.object_info
"""

EXAMPLES = r"""
- name: Look at the replication controllers of a namespace
  navarch.cluster.replication_controller_info:
    namespace: default
  register: found

- name: All of them have their pods
  ansible.builtin.assert:
    that: found.replication_controllers | rejectattr('status.readyReplicas', 'defined') | length == 0
"""

RETURN = r"""
replication_controllers:
  description: The replication controllers that were found, by namespace and name. Empty when there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: v1
      kind: ReplicationController
      metadata:
        name: web
        namespace: default
      status:
        replicas: 3
        readyReplicas: 3
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client, Kind
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources.info import found

KIND = Kind("v1", "ReplicationController", "replicationcontrollers")


def spec() -> args.Spec:
    return args.merge(args.selectors_spec(), args.named_spec())


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return found(client, KIND, params, "replication_controllers")


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
