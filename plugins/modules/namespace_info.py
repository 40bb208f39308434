# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.namespace_info, written by tools/kinds.py from tools/kinds.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace_info
short_description: Look at namespaces
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns namespaces of a Navarch cluster, or of any other cluster that speaks the Kubernetes API.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
  - navarch.cluster.selectors
  - navarch.cluster.named
options: {}
seealso:
  - module: navarch.cluster.namespace
  - module: navarch.cluster.object_info
"""

EXAMPLES = r"""
- name: Look at the namespaces of a team
  navarch.cluster.namespace_info:
    label_selectors:
      - team=sales
  register: found

- name: Show their names
  ansible.builtin.debug:
    msg: "{{ found.namespaces | map(attribute='metadata.name') }}"
"""

RETURN = r"""
namespaces:
  description: The namespaces that were found, by name. Empty when there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: v1
      kind: Namespace
      metadata:
        name: shop
      status:
        phase: Active
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client, Kind
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources.info import found

KIND = Kind("v1", "Namespace", "namespaces", namespaced=False)


def spec() -> args.Spec:
    return args.merge(args.selectors_spec(), args.named_spec(namespaced=False))


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return found(client, KIND, params, "namespaces")


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
