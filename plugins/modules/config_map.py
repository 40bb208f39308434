# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.config_map. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_map
short_description: Keep settings in the cluster
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Creates, changes and deletes config maps of a Navarch cluster, or of any other cluster that speaks the
    Kubernetes API.
  - O(data) and O(binary_data) are meant whole. A key that they do not name is taken away.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.writes
  - navarch.cluster.auth
  - navarch.cluster.definition
  - navarch.cluster.definition.namespaced
  - navarch.cluster.metadata
  - navarch.cluster.state
  - navarch.cluster.data
  - navarch.cluster.wait
options:
  data:
    description: What it holds, texts by key.
    type: dict
  binary_data:
    description: What it holds that is no text, in base64, by key.
    type: dict
seealso:
  - module: navarch.cluster.secret
  - module: navarch.cluster.pod
"""

EXAMPLES = r"""
- name: Settings for the web server
  navarch.cluster.config_map:
    name: web
    data:
      level: info
      page.html: |
        <h1>Hello</h1>

- name: Settings in the API's own words
  navarch.cluster.config_map:
    definition: "{{ settings }}"
  vars:
    settings:
      apiVersion: v1
      kind: ConfigMap
      metadata:
        name: web
      data:
        level: debug

- name: They are gone
  navarch.cluster.config_map:
    name: web
    state: absent
"""

RETURN = r"""
config_map:
  description:
    - The config map as the cluster has it. In check mode, as the cluster would have it.
    - V(null) after its deletion.
  returned: success
  type: dict
  sample:
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: web
      namespace: default
    data:
      level: info
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources import simple_kinds
from ansible_collections.navarch.cluster.plugins.module_utils._resources.definition import RULES


def spec() -> Spec:
    return simple_kinds.data_spec(data={"type": "dict"}, binary_data={"type": "dict"})


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return simple_kinds.config_map(client, params)


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
