# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.gce_resource. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_resource
short_description: Manage firewall rules, routes and other things of Google Compute Engine
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Makes sure that something of Google Compute Engine that has a name is there, with the fields that are
    told, or is
    not. Its other fields are left alone.
  - It is what playbook C(navarch.cluster.gce) makes firewall rules and routes by.
extends_documentation_fragment:
  - navarch.cluster.cloud_auth
  - navarch.cluster.cloud_auth.writes
options:
  kind:
    description: What it is, in the plural and as the API's paths have it, such as V(firewalls), V(routes),
      V(networks)
      or V(subnetworks).
    type: str
    required: true
  name:
    description: Its name.
    type: str
    required: true
  region:
    description: Its region, when it belongs to one.
    type: str
  state:
    description:
      - V(present) makes sure that it is there as told. Routes and addresses cannot be changed, and are
        replaced, with their other fields. An address of the internet is another one then, where none is told.
      - V(absent) makes sure that it is not there.
    type: str
    choices: [present, absent]
    default: present
  definition:
    description: Its fields, as the Compute Engine API has them. Of others it may name just the end of their
      path.
    type: dict
    default: {}
  wait_timeout:
    description: Seconds that each change may take.
    type: int
    default: 120
seealso:
  - module: navarch.cluster.cloud_node
"""

EXAMPLES = r"""
- name: The cluster's machines reach each other, and so do their pods
  navarch.cluster.gce_resource:
    service_account_file: /etc/navarch/gce.json
    kind: firewalls
    name: navarch-inside
    definition:
      network: global/networks/default
      sourceRanges: [10.128.0.0/9, 10.244.0.0/16]
      targetTags: [navarch]
      allowed:
        - IPProtocol: all

- name: The rule is gone
  navarch.cluster.gce_resource:
    service_account_file: /etc/navarch/gce.json
    kind: firewalls
    name: navarch-inside
    state: absent
"""

RETURN = r"""
resource:
  description:
    - The thing as the API has it. In check mode, as far as that can be told. V(null) after its deletion.
    - When it was to be replaced and is lost, or may be, what it was before.
  returned: success, or when a replacement has failed
  type: dict
  sample:
    name: navarch-inside
    direction: INGRESS
    priority: 1000
"""

from ansible_collections.navarch.cluster.plugins.module_utils._cloud import gce_resource
from ansible_collections.navarch.cluster.plugins.module_utils._cloud.node import run_cloud_module
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec


def spec() -> Spec:
    return gce_resource.spec()


def main() -> None:
    run_cloud_module(gce_resource.run, spec())


if __name__ == "__main__":
    main()
