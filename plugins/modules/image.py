# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.image. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Put images on nodes without a registry
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Makes sure that the Docker Engine of a node has an image, from files that lie on that node - an archive as
    C(docker save) makes it, or a root file system.
  - Run it on the nodes. It speaks to the Engine by its socket and needs nothing but Python there.
  - Pods find such an image with C(image_pull_policy) V(IfNotPresent) or V(Never).
extends_documentation_fragment:
  - navarch.cluster.engine
attributes:
  diff_mode:
    support: full
options:
  name:
    description: Name of the image, with its tag. Without a tag it is C(latest).
    type: str
    required: true
  state:
    description: Whether the image shall be there.
    type: str
    choices: [present, absent]
    default: present
  src:
    description:
      - The archive or folder on the node. Required if O(state=present).
      - Files of the controller come there by M(ansible.builtin.copy) or M(ansible.builtin.unarchive).
    type: path
  type:
    description:
      - What O(src) is - V(archive), made by C(docker save), or V(rootfs), a folder or a tar archive of a root
        file system. With V(auto) its content tells.
      - An image from an V(archive) is there already when the Engine has the same one, and one from a
        V(rootfs) when it was made of the same files and settings. It carries their checksum as a label.
    type: str
    choices: [auto, archive, rootfs]
    default: auto
  command:
    description: What containers of a root file system run, as a list of words.
    type: list
    elements: str
  entrypoint:
    description: What is put before O(command).
    type: list
    elements: str
  env:
    description: Environment variables of containers of a root file system.
    type: dict
  labels:
    description: Labels of the image of a root file system.
    type: dict
  user:
    description: The user that containers of a root file system run as.
    type: str
  working_dir:
    description: The folder that containers of a root file system start in.
    type: str
  keep_owners:
    description: Whether the files of a folder keep their owners. Otherwise they belong to root in the image.
    type: bool
    default: false
  force:
    description: With O(state=absent), whether to take the name even off an image that is in use.
    type: bool
    default: false
seealso:
  - module: navarch.cluster.image_info
  - module: navarch.cluster.pod
"""

EXAMPLES = r"""
- name: Nodes have the image of the web server
  navarch.cluster.image:
    name: web:1.4
    src: /var/cache/images/web-1.4.tar

- name: An image of a folder
  navarch.cluster.image:
    name: tools:1
    src: /srv/tools-root
    command: [/bin/sh]
    env:
      PATH: /bin:/usr/bin

- name: The old one goes
  navarch.cluster.image:
    name: web:1.3
    state: absent
"""

RETURN = r"""
image:
  description: The image. Empty when it is gone. In check mode what is known of it.
  returned: success
  type: dict
  contains:
    id:
      description: The Engine's name for it.
      type: str
      sample: sha256:7bb8406278531fb8d1cf2a0a4b1d8ed86ad0b0ba41a75db0a9d4f4ef2b7b6c0d
    tags:
      description: Its names.
      type: list
      elements: str
      sample: ['web:1.4']
    digests:
      description: Its names by digest, where a registry gave it some.
      type: list
      elements: str
      sample: []
    size:
      description: Bytes.
      type: int
      sample: 1982256
    labels:
      description: Its labels.
      type: dict
      sample: {}
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._images.engine import Engine
from ansible_collections.navarch.cluster.plugins.module_utils._images.image import manage
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_asking

RULES: dict[str, t.Any] = {"required_if": [("state", "present", ["src"])]}


def spec() -> args.Spec:
    own = {
        "name": {"type": "str", "required": True},
        "src": {"type": "path"},
        "type": {"type": "str", "choices": ["auto", "archive", "rootfs"], "default": "auto"},
        "command": {"type": "list", "elements": "str"},
        "entrypoint": {"type": "list", "elements": "str"},
        "env": {"type": "dict"},
        "labels": {"type": "dict"},
        "user": {"type": "str"},
        "working_dir": {"type": "str"},
        "keep_owners": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": False},
    }
    return args.merge(args.engine_spec(), args.state_spec(), own)


def run(params: t.Mapping[str, t.Any], engine: Engine) -> dict[str, t.Any]:
    return manage(params, engine)


def main() -> None:
    run_asking(Engine.from_params, run, spec(), **RULES)


if __name__ == "__main__":
    main()
