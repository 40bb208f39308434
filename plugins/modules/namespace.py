# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.namespace. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace
short_description: Divide the cluster into namespaces
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Creates, changes and deletes namespaces of a Navarch cluster, or of any other cluster that speaks the
    Kubernetes API.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.definition
  - navarch.cluster.metadata
  - navarch.cluster.wait
options:
  state:
    description:
      - V(present) makes sure that it exists and is as described.
      - V(absent) makes sure that it does not exist. Everything in it goes with it.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: navarch.cluster.manifest
"""

EXAMPLES = r"""
- name: A namespace for the shop
  navarch.cluster.namespace:
    name: shop
    labels:
      team: sales

- name: The same in the API's own words
  navarch.cluster.namespace:
    definition:
      metadata:
        name: shop
        labels:
          team: sales

- name: It is gone, and all that was in it
  navarch.cluster.namespace:
    name: shop
    state: absent
    wait: true
"""

RETURN = r"""
namespace:
  description:
    - The namespace as the cluster has it. In check mode, as the cluster would have it.
    - V(null) after its deletion.
  returned: success
  type: dict
  sample:
    apiVersion: v1
    kind: Namespace
    metadata:
      name: shop
    status:
      phase: Active
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources import simple_kinds
from ansible_collections.navarch.cluster.plugins.module_utils._resources.definition import RULES


def spec() -> Spec:
    return simple_kinds.namespace_spec()


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return simple_kinds.namespace(client, params)


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
