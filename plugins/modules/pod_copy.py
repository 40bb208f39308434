# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module navarch.cluster.pod_copy. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_copy
short_description: Copy files to and from a container of a pod
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Copies files and folders between the machine that runs this module, which is the controller as a rule, and
    a running container, in a Navarch cluster or any other cluster that speaks the Kubernetes API.
  - What is there already is not copied. Files are compared by their SHA-256 checksums.
  - A file appears as a whole or not at all, whatever breaks on the way. It is written beside its place and
    moved there when all of it has arrived.
  - The container must have C(sh) and a few usual tools, all of which busybox has - C(sha256sum), C(stat),
    C(cat), C(mv) and C(rm) for files, and for folders C(tar), C(find), C(xargs), C(mkdir), C(chmod) and
    C(chown). The failure names the one that is missing.
extends_documentation_fragment:
  - navarch.cluster.attributes
  - navarch.cluster.auth
  - navarch.cluster.name
attributes:
  check_mode:
    support: full
    details:
      - Files are compared, and none is copied.
  diff_mode:
    support: full
    details:
      - Shows checksums, sizes, modes and owners, and what changes in files of text of O(src) that are not
        larger than 100 kB, of a folder for the first 20.
      - O(content) is not shown, since it may be secret. Where files are, give the task C(no_log).
options:
  container:
    description: The container. Needed when the pod has several.
    type: str
  direction:
    description: Whether to copy to the pod or from it.
    type: str
    choices: [to_pod, from_pod]
    default: to_pod
  src:
    description:
      - The file or folder to copy. With O(direction=from_pod) an absolute path in the container.
      - Of a folder that ends in C(/) the contents are copied, of any other the folder itself.
      - Either this or O(content) is required.
    type: str
  content:
    description:
      - What the file O(dest) in the container shall contain, instead of O(src).
      - What is no text, such as a dictionary, is written as JSON.
    type: raw
  dest:
    description:
      - Where to. With O(direction=to_pod) an absolute path in the container.
      - A file goes into O(dest) under its own name when that is a folder or ends in C(/). A folder that must
        hold a single file is not made.
    type: str
    required: true
  mode:
    description:
      - Permissions of the files in octal, such as V('0644').
      - By default a file that is there keeps its own, and a new one gets those of O(src).
    type: str
  directory_mode:
    description: Permissions of the folders in octal, such as V('0755'), where a folder is copied.
    type: str
  owner:
    description:
      - Owner of the files in the container, a name or a number. By default a file that is there keeps its
        own, and a new one belongs to the container's user, not to the owner of O(src).
      - Only for O(direction=to_pod).
    type: str
  group:
    description: Group of the files in the container, a name or a number. Only for O(direction=to_pod).
    type: str
  follow:
    description:
      - Whether to copy what symbolic links in a folder lead to, instead of the links. A link that leads
        nowhere is an error then.
      - By default links are copied as they are, also such that lead nowhere. From a container those that lead
        out of the folder are left out with a warning, since on this machine they would lead to something
        else.
      - O(src) itself and O(dest) may be links in any case. A file takes the place of a link.
    type: bool
    default: false
  timeout:
    description: How many seconds each transfer may take. By default as long as it likes.
    type: int
notes:
  - Files that are in O(dest) and not in O(src) are left alone.
seealso:
  - module: navarch.cluster.pod_exec
  - plugin: navarch.cluster.pod
    plugin_type: connection
"""

EXAMPLES = r"""
- name: Write the settings
  navarch.cluster.pod_copy:
    name: web
    content: |
      listen 8080
    dest: /tmp/web.conf
    mode: '0640'

- name: Fetch them
  navarch.cluster.pod_copy:
    name: web
    direction: from_pod
    src: /tmp/web.conf
    dest: /tmp/fetched-web.conf

- name: Copy the contents of a folder
  navarch.cluster.pod_copy:
    name: web
    src: "{{ playbook_dir }}/site/"
    dest: /tmp/www
    owner: '1000'
"""

RETURN = r"""
dest:
  description: The file or folder that was copied to.
  returned: success
  type: str
  sample: /tmp/web.conf
checksum:
  description: SHA-256 checksum of the file.
  returned: when a file was copied or would be
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
size:
  description: Size of the file in bytes.
  returned: when a file was copied or would be
  type: int
  sample: 12
owner:
  description: Owner of the file. In check mode only where that is known.
  returned: when a file was copied
  type: str
  sample: root
group:
  description: Group of the file. In check mode only where that is known.
  returned: when a file was copied
  type: str
  sample: root
mode:
  description: Permissions of the file. In check mode only where they are known.
  returned: when a file was copied
  type: str
  sample: '0644'
files:
  description: What was copied of the folder or would be, relative to RV(dest). V(.) is the folder itself.
  returned: when a folder was copied or would be
  type: list
  elements: str
  sample: [index.html, img/logo.png]
"""

import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._module import args
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import run_module
from ansible_collections.navarch.cluster.plugins.module_utils._pods.copy import copy_to
from ansible_collections.navarch.cluster.plugins.module_utils._pods.fetch import copy_from

RULES: dict[str, t.Any] = {
    "mutually_exclusive": [["src", "content"]],
    "required_one_of": [["src", "content"]],
}


def spec() -> args.Spec:
    own = {
        "container": {"type": "str"},
        "direction": {"type": "str", "choices": ["to_pod", "from_pod"], "default": "to_pod"},
        "src": {"type": "str"},
        "content": {"type": "raw", "no_log": True},
        "dest": {"type": "str", "required": True},
        "mode": {"type": "str"},
        "directory_mode": {"type": "str"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "follow": {"type": "bool", "default": False},
        "timeout": {"type": "int"},
    }
    return args.merge(args.name_spec(), own)


def run(params: t.Mapping[str, t.Any], client: Client) -> dict[str, t.Any]:
    if params["timeout"] is not None and params["timeout"] <= 0:
        raise OptionError("timeout", "must be a number of seconds above 0")
    return copy_to(params, client) if params["direction"] == "to_pod" else copy_from(params, client)


def main() -> None:
    run_module(run, spec(), **RULES)


if __name__ == "__main__":
    main()
