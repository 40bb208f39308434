# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.pod_logs. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_logs
short_description: Read what a container of a pod has written
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns the log of one container of a pod, in a Navarch cluster or any other cluster that speaks the
    Kubernetes API.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.attributes.reads
  - navarch.cluster.auth
  - navarch.cluster.name
options:
  container:
    description: The container. Needed when the pod has several.
    type: str
  tail_lines:
    description: Only so many lines from the end.
    type: int
  since:
    description:
      - Only what was written since then.
      - A time such as V(2026-01-31T12:00:00Z), or how long ago, such as V(90s), V(15m) or V(2h).
    type: str
  previous:
    description: The log of the container's run before its last restart.
    type: bool
    default: false
  timestamps:
    description: Begin each line with the time at which it was written.
    type: bool
    default: false
seealso:
  - module: navarch.cluster.pod
"""

EXAMPLES = r"""
- name: Read the last lines of the web server
  navarch.cluster.pod_logs:
    name: web
    container: web
    tail_lines: 20
    since: 10m
  register: web

- name: Show them
  ansible.builtin.debug:
    var: web.log_lines
"""

RETURN = r"""
log:
  description: The log.
  returned: success
  type: str
  sample: |
    listening
    GET /
log_lines:
  description: The log, by lines.
  returned: success
  type: list
  elements: str
  sample:
    - listening
    - GET /
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._pods.logs import read_log


def spec() -> args.Spec:
    own = {
        "container": {"type": "str"},
        "tail_lines": {"type": "int"},
        "since": {"type": "str"},
        "previous": {"type": "bool", "default": False},
        "timestamps": {"type": "bool", "default": False},
    }
    return args.merge(args.name_spec(), own)


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    log = read_log(client, params)
    return {"changed": False, "log": log, "log_lines": log.splitlines()}


def main() -> None:
    run_module(run, spec())


if __name__ == "__main__":
    main()
