# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.pod_info, written by tools/kinds.py from tools/kinds.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_info
short_description: Look at pods
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns pods of a Navarch cluster, or of any other cluster that speaks the Kubernetes API.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
  - navarch.cluster.selectors
  - navarch.cluster.named
  - navarch.cluster.named.namespaced
options: {}
seealso:
  - module: navarch.cluster.pod
  - module: navarch.cluster.pod_logs
"""

EXAMPLES = r"""
- name: Look at all web servers on one node
  navarch.cluster.pod_info:
    namespace: default
    label_selectors:
      - app=web
    field_selectors:
      - spec.nodeName=node-1
  register: web

- name: Show their addresses
  ansible.builtin.debug:
    msg: "{{ web.pods | map(attribute='status.podIP') }}"
"""

RETURN = r"""
pods:
  description: The pods that were found, by namespace and name. Empty when there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: v1
      kind: Pod
      metadata:
        name: web
        namespace: default
      status:
        phase: Running
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client, Kind
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources.info import found

KIND = Kind("v1", "Pod", "pods")


def spec() -> args.Spec:
    return args.merge(args.selectors_spec(), args.named_spec())


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return found(client, KIND, params, "pods")


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
