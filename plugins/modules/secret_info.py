# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.secret_info, written by tools/kinds.py from tools/kinds.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_info
short_description: Look at secrets
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns secrets of a Navarch cluster, or of any other cluster that speaks the Kubernetes API.
  - What they hold is not shown, unless O(reveal=true).
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
  - navarch.cluster.selectors
  - navarch.cluster.named
  - navarch.cluster.named.namespaced
  - navarch.cluster.named.reveal
options: {}
seealso:
  - module: navarch.cluster.secret
  - module: navarch.cluster.object_info
"""

EXAMPLES = r"""
- name: Look which secrets there are
  navarch.cluster.secret_info:
    namespace: default
  register: found

- name: Show their names
  ansible.builtin.debug:
    msg: "{{ found.secrets | map(attribute='metadata.name') }}"

- name: Read one
  navarch.cluster.secret_info:
    name: database
    reveal: true
  register: database

- name: The password is not empty
  ansible.builtin.assert:
    that: database.secrets[0].data.password | b64decode | length > 0
  no_log: true
"""

RETURN = r"""
secrets:
  description: The secrets that were found, by namespace and name. Empty when there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - apiVersion: v1
      kind: Secret
      type: Opaque
      metadata:
        name: database
        namespace: default
      data:
        password: hidden
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client, Kind
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._resources.info import found

KIND = Kind("v1", "Secret", "secrets")


def spec() -> args.Spec:
    return args.merge(args.selectors_spec(), args.named_spec(), args.reveal_spec())


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return found(client, KIND, params, "secrets")


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
