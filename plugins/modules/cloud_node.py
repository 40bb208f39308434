# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.cloud_node. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_node
short_description: Manage the machines that nodes run on
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Makes and deletes machines of Google Compute Engine, or of any other cloud that apache-libcloud knows.
  - A machine is known by its name, at Google within a project and a zone, elsewhere within a region or
    account.
  - Of a machine that is there, O(labels) are set as told, at Google O(tags), O(metadata), O(ssh_keys) and
    O(startup_script) too. One that has stopped is started, one that is stopping as soon as it has. Its other
    options stand from when it was made. Another O(size) is refused.
  - One task is one machine. Let plays for hosts that are to be made run this by C(connection=local), and they
    are made at the same time.
extends_documentation_fragment:
  - navarch.cluster.cloud_auth
  - navarch.cluster.cloud_auth.writes
  - navarch.cluster.cloud_auth.libcloud
options:
  name:
    description: Name of the machine.
    type: str
    required: true
  state:
    description:
      - V(present) makes sure that the machine is there and runs.
      - V(absent) makes sure that it is not, nor its boot disk.
    type: str
    choices: [present, absent]
    default: present
  zone:
    description: Zone of the machine. Google wants one, other clouds choose one by themselves.
    type: str
  size:
    description: Type of machine, such as V(e2-medium) or V(t3.small), as id or name. Needed to make one.
    type: str
  image:
    description:
      - What the boot disk is made from. Needed to make a machine.
      - At Google PROJECT/FAMILY such as V(debian-cloud/debian-12), the name of an image of the project, or a
        path
        as the API has it. Elsewhere an image's id or name.
    type: str
  disk_size_gb:
    description: Size of the boot disk. By default that of the image.
    type: int
  network:
    description: At Google, name or path of the network. Without it V(default).
    type: str
  subnetwork:
    description: Name or path of the subnetwork, or id of the subnet at V(ec2).
    type: str
  public_ip:
    description: Whether the machine gets a public address. By default it does at Google, and what is usual
      elsewhere.
    type: bool
  ip_forward:
    description:
      - At Google, whether the machine may send and receive packets of other addresses. Pods without an
        overlay
        want it.
    type: bool
  labels:
    description:
      - Labels of the machine (at V(ec2), tags). V(null) takes one away. Its other labels are left alone.
    type: dict
  tags:
    description: Network tags, or what a cloud has as a list of words. The list is meant whole.
    type: list
    elements: str
  metadata:
    description: Metadata of the machine. V(null) takes a key away. Its other metadata are left alone.
    type: dict
  ssh_user:
    description: At Google, the user that O(ssh_keys) may log in as.
    type: str
    default: navarch
  ssh_keys:
    description: Public keys that may log in, in the form of C(authorized_keys). Most other clouds take one.
    type: list
    elements: str
    default: []
  startup_script:
    description: What runs when the machine starts, at Google each time, elsewhere (as user data) the first
      time.
    type: str
  host_keys:
    description:
      - At Google, whether to return the machine's public SSH host keys, which its guest agent tells the cloud
        once it has started, so that nobody has to trust the first one who answers at its address.
      - Sets the metadata C(enable-guest-attributes). Other clouds do not tell host keys.
    type: bool
    default: false
  definition:
    description:
      - At Google, fields of the API's Instance, laid over what the other options make of it when it is made.
      - Elsewhere, arguments of C(create_node) of libcloud's driver, such as C(ex_security_groups) of V(ec2).
    type: dict
    default: {}
  wait:
    description:
      - Whether to wait until the machine runs and has an address, or is gone.
      - Without, a cloud that accepts and then fails (for lack of quota, say) is not noticed.
      - A machine that is stopping is waited for even so, since it cannot be started before.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most.
    type: int
    default: 300
seealso:
  - module: navarch.cluster.cloud_node_info
  - module: navarch.cluster.gce_resource
  - plugin: navarch.cluster.nodes
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: A machine at Google
  navarch.cluster.cloud_node:
    service_account_file: /etc/navarch/gce.json
    zone: us-central1-a
    name: ship-1
    size: e2-medium
    image: debian-cloud/debian-12
    labels:
      cluster: ship
    tags: [navarch]
    ssh_keys:
      - "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
  register: made

- name: Its address
  ansible.builtin.debug:
    msg: "{{ made.machine.public_ip }}"

- name: A machine at Amazon
  navarch.cluster.cloud_node:
    provider: ec2
    region: eu-central-1
    key: "{{ lookup('ansible.builtin.env', 'AWS_ACCESS_KEY_ID') }}"
    secret: "{{ lookup('ansible.builtin.env', 'AWS_SECRET_ACCESS_KEY') }}"
    name: ship-2
    size: t3.small
    image: ami-03cf127a
    labels:
      cluster: ship
    definition:
      ex_keyname: sailor

- name: It is gone
  navarch.cluster.cloud_node:
    service_account_file: /etc/navarch/gce.json
    zone: us-central1-a
    name: ship-1
    state: absent
"""

RETURN = r"""
host_keys:
  description: The machine's public SSH host keys, as they stand in C(known_hosts) after the names.
  returned: when O(host_keys) is set
  type: list
  elements: str
  sample: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f]
machine:
  description:
    - The machine, by the same names as the hosts of inventory P(navarch.cluster.nodes#inventory) have.
      V(null)
      after its deletion.
    - In check mode, the machine as it would be, as far as that can be told.
  returned: success
  type: dict
  sample:
    provider: gce
    instance_name: ship-1
    instance_id: "4000000000000001001"
    status: RUNNING
    running: true
    project: ship
    region: us-central1
    zone: us-central1-a
    size: e2-medium
    image: debian-12
    public_ip: 203.0.113.5
    private_ip: 10.128.0.2
    public_ips: [203.0.113.5]
    private_ips: [10.128.0.2]
    networks: []
    labels:
      cluster: ship
    instance_tags: [navarch]
    metadata: {}
    created: "2026-01-02T03:04:05.678-07:00"
    details: {}
"""

from ansible_collections.navarch.cluster.plugins.module_utils._cloud import node
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec


def spec() -> Spec:
    return node.node_spec()


def main() -> None:
    node.run_cloud_module(node.cloud_node, spec())


if __name__ == "__main__":
    main()
