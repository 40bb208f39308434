# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.pod_exec. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_exec
short_description: Run a command in a container of a pod
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Runs a command in a container, in a Navarch cluster or any other cluster that speaks the Kubernetes API,
    and returns what it wrote and its exit code. It is M(ansible.builtin.command) for containers.
  - The command is run as it is, without a shell. Where pipes or variables are needed, run a shell -
    V([sh, -c, 'echo $HOME | wc -c']).
  - To run whole plays in containers, see the connection plugin P(navarch.cluster.pod#connection).
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.auth
  - navarch.cluster.name
attributes:
  check_mode:
    support: partial
    details:
      - The command does not run. What O(creates) and O(removes) say is looked up; without them the task is
        skipped.
  diff_mode:
    support: none
    details:
      - Nobody knows what a command changes.
  idempotent:
    support: partial
    details:
      - With O(creates) and O(removes) the command runs only while there is need.
options:
  container:
    description: The container. Needed when the pod has several.
    type: str
  command:
    description:
      - The command as a list of words, or as a string, which is split into words as by a shell.
      - Either this or O(argv) is required.
    type: raw
  argv:
    description: The command as a list of words.
    type: list
    elements: str
  stdin:
    description: What the command reads from its standard input. Without it the command has none.
    type: str
  stdin_add_newline:
    description: Whether to end O(stdin) with a newline.
    type: bool
    default: true
  chdir:
    description: The folder in the container to run the command in. Needs C(sh) in the container.
    type: str
  creates:
    description:
      - A path, or a pattern of paths, in the container. Where there is one, the command does not run.
      - Needs C(sh) in the container.
    type: str
  removes:
    description:
      - A path, or a pattern of paths, in the container. Where there is none, the command does not run.
      - Needs C(sh) in the container.
    type: str
  timeout:
    description:
      - How many seconds the command may take. By default as long as it likes.
      - The task fails then. The command may go on, because the API has no word to end it.
    type: int
  strip_empty_ends:
    description: Whether to take newlines off the end of what the command wrote.
    type: bool
    default: true
notes:
  - RV(ignore:stdout) and RV(ignore:stderr) are text. For other content see M(navarch.cluster.pod_copy).
  - What O(command) and O(stdin) say is no secret to Ansible. Use C(no_log) where it is.
seealso:
  - module: navarch.cluster.pod_copy
  - module: navarch.cluster.pod_logs
  - plugin: navarch.cluster.pod
    plugin_type: connection
"""

EXAMPLES = r"""
- name: Ask the web server for its version
  navarch.cluster.pod_exec:
    name: web
    command: busybox uname -a
  register: version
  changed_when: false

- name: Make the database once
  navarch.cluster.pod_exec:
    name: web
    container: web
    argv: [sh, -c, 'cat > "$0"', /tmp/made]
    stdin: hello
    creates: /tmp/made
    timeout: 60
"""

RETURN = r"""
rc:
  description: The command's exit code. The task fails when it is not 0.
  returned: when the command ran, or need not run
  type: int
  sample: 0
stdout:
  description: What the command wrote to its standard output.
  returned: when the command ran, or need not run
  type: str
  sample: hello
stdout_lines:
  description: The same, by lines.
  returned: when the command ran, or need not run
  type: list
  elements: str
  sample: [hello]
stderr:
  description: What the command wrote to its standard error.
  returned: when the command ran, or need not run
  type: str
  sample: ''
stderr_lines:
  description: The same, by lines.
  returned: when the command ran, or need not run
  type: list
  elements: str
  sample: []
cmd:
  description: The words of the command.
  returned: when the command ran, or need not run
  type: list
  elements: str
  sample: [echo, hello]
start:
  description: When the command was started, by the clock of the machine that ran the module.
  returned: when the command ran
  type: str
  sample: '2026-01-31 12:00:00.000000'
end:
  description: When it had ended.
  returned: when the command ran
  type: str
  sample: '2026-01-31 12:00:00.100000'
delta:
  description: How long it took.
  returned: when the command ran
  type: str
  sample: '0:00:00.100000'
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._pods.exec import run_command

RULES: dict[str, t.Any] = {
    "mutually_exclusive": [["command", "argv"]],
    "required_one_of": [["command", "argv"]],
}


def spec() -> args.Spec:
    own = {
        "container": {"type": "str"},
        "command": {"type": "raw"},
        "argv": {"type": "list", "elements": "str"},
        "stdin": {"type": "str"},
        "stdin_add_newline": {"type": "bool", "default": True},
        "chdir": {"type": "str"},
        "creates": {"type": "str"},
        "removes": {"type": "str"},
        "timeout": {"type": "int"},
        "strip_empty_ends": {"type": "bool", "default": True},
    }
    return args.merge(args.name_spec(), own)


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    return run_command(params, client)


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
