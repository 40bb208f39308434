# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.secret. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret
short_description: Keep secrets in the cluster
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Creates, changes and deletes secrets of a Navarch cluster, or of any other cluster that speaks the
    Kubernetes API.
  - O(data) and O(string_data) together are meant whole. A key that neither names is taken away.
  - What a secret holds is never shown, neither in the result nor in a diff.
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
    description: What it holds, in base64, by key.
    type: dict
  string_data:
    description: What it holds, as plain texts by key. They are put into base64 before they are sent.
    type: dict
  type:
    description:
      - What it is for, such as V(kubernetes.io/tls). By default V(Opaque).
      - It cannot be changed on an existing secret, only by O(recreate=true).
    type: str
seealso:
  - module: navarch.cluster.config_map
  - module: navarch.cluster.pod
"""

EXAMPLES = r"""
- name: The password of the database
  navarch.cluster.secret:
    name: database
    string_data:
      password: "{{ vault_database_password }}"

- name: The same in the API's own words
  navarch.cluster.secret:
    definition:
      metadata:
        name: database
      stringData:
        password: "{{ vault_database_password }}"

- name: It is gone
  navarch.cluster.secret:
    name: database
    state: absent
"""

RETURN = r"""
secret:
  description:
    - The secret as the cluster has it. In check mode, as the cluster would have it.
    - V(null) after its deletion.
  returned: success
  type: dict
  sample:
    apiVersion: v1
    kind: Secret
    type: Opaque
    metadata:
      name: database
      namespace: default
    data:
      password: hidden
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources import simple_kinds
from ansible_collections.navarch.cluster.plugins.module_utils._resources.definition import (
    RULES,
    secret_values,
)


def spec() -> Spec:
    return simple_kinds.data_spec(
        data={"type": "dict", "no_log": True},
        string_data={"type": "dict", "no_log": True},
        type={"type": "str"},
    )


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return simple_kinds.secret(client, params)


hidden = secret_values


def main() -> None:
    run_module(run, spec(), hidden, **RULES)


if __name__ == "__main__":
    main()
