# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.image_info. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_info
short_description: Look at the images on nodes
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns the images that the Docker Engine of a node has. Run it on the nodes.
extends_documentation_fragment:
  - navarch.cluster.engine
attributes:
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
options:
  name:
    description: Only images of this name, with or without a tag. C(*) stands for anything but C(/).
    type: str
seealso:
  - module: navarch.cluster.image
"""

EXAMPLES = r"""
- name: Look which web servers the nodes have
  navarch.cluster.image_info:
    name: web
  register: web

- name: Show their names
  ansible.builtin.debug:
    msg: "{{ web.images | map(attribute='tags') | flatten }}"
"""

RETURN = r"""
images:
  description: The images that were found, by name. Empty when there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - id: sha256:7bb8406278531fb8d1cf2a0a4b1d8ed86ad0b0ba41a75db0a9d4f4ef2b7b6c0d
      tags: ['web:1.4']
      digests: []
      size: 1982256
      labels: {}
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._images.engine import Engine
from ansible_collections.navarch.cluster.plugins.module_utils._images.image import look
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_asking


def spec() -> args.Spec:
    return args.merge(args.engine_spec(), {"name": {"type": "str"}})


def run(params: t.Mapping[str, t.Any], engine: Engine) -> dict[str, t.Any]:
    return look(params, engine)


def main() -> None:
    run_asking(Engine.from_params, run, spec())


if __name__ == "__main__":
    main()
