# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.deployment_info, written by tools/kinds.py from tools/kinds.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_info
short_description: Look at deployments
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns deployments of a Navarch cluster, or of any other cluster that speaks the Kubernetes API.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
  - navarch.cluster.selectors
  - navarch.cluster.named
  - navarch.cluster.named.namespaced
options: {}
seealso:
  - module: navarch.cluster.object_info
"""

EXAMPLES = r"""
- name: Look at the deployments of a namespace
  navarch.cluster.deployment_info:
    namespace: default
  register: found

- name: All of them are available
  ansible.builtin.assert:
    that: found.deployments | map(attribute='status.conditions') | flatten
      | selectattr('type', '==', 'Available') | rejectattr('status', '==', 'True') | length == 0
"""

RETURN = r"""
deployments:
  description: The deployments that were found, by namespace and name. Empty when there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: web
        namespace: default
      status:
        replicas: 3
        availableReplicas: 3
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client, Kind
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources.info import found

KIND = Kind("apps/v1", "Deployment", "deployments")


def spec() -> args.Spec:
    return args.merge(args.selectors_spec(), args.named_spec())


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return found(client, KIND, params, "deployments")


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
