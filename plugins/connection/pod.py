# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection navarch.cluster.pod: Ansible's commands and files in a container. Documentation and Ansible's
side; the container's side is in ``module_utils`` (``streaming``, ``podfiles``).
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: pod
short_description: Run tasks in containers of pods
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Runs commands and copies files in a running container, in a Navarch cluster or any other cluster that
    speaks the Kubernetes API, over its API and with nothing beside C(requests) on the controller.
  - Modules need Python in the container, as on any host. M(ansible.builtin.raw) and M(ansible.builtin.script)
    need C(sh) alone, and copying files C(cat), C(mv) and C(rm) besides.
  - The inventory P(navarch.cluster.pods#inventory) sets all that is needed.
extends_documentation_fragment:
  - navarch.cluster.auth
  - navarch.cluster.auth.plugin
  - navarch.cluster.auth.connection
options:
  namespace:
    description: Namespace of the pod.
    type: str
    default: default
    vars: [{name: ansible_pod_namespace}]
    env: [{name: K8S_AUTH_NAMESPACE}]
  pod:
    description: Name of the pod. By default the host's name.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_pod_name
  container:
    description: The container. Needed when the pod has several.
    type: str
    vars: [{name: ansible_pod_container}]
    env: [{name: K8S_AUTH_CONTAINER}]
  executable:
    description: The shell in the container.
    type: str
    default: /bin/sh
    vars:
      - name: ansible_shell_executable
      - name: ansible_pod_executable
  timeout:
    description: How many seconds a command or a file may take. By default as long as it likes.
    type: int
    vars: [{name: ansible_pod_timeout}]
  pipelining:
    description:
      - Whether modules reach Python in the container by its standard input, without a file. It is faster.
    type: bool
    default: true
    env: [{name: ANSIBLE_PIPELINING}]
    ini: [{section: defaults, key: pipelining}]
    vars:
      - name: ansible_pipelining
      - name: ansible_pod_pipelining
notes:
  - A variable that begins with C(ansible_pod_) and sets none of these options is refused.
  - Commands run as the container's user. C(become) makes another of it, where C(su) or C(sudo) is in the
    container. C(ansible_user) is not looked at.
  - Each command is a process in the container of its own. They share one TLS session.
seealso:
  - plugin: navarch.cluster.pods
    plugin_type: inventory
  - module: navarch.cluster.pod_exec
  - module: navarch.cluster.pod_copy
"""

EXAMPLES = r"""
- name: Work in a container
  hosts: web
  gather_facts: false
  vars:
    ansible_connection: navarch.cluster.pod
    ansible_pod_kubeconfig: /etc/navarch/admin.conf
    ansible_pod_container: main
  tasks:
    - name: Look around
      ansible.builtin.raw: ls -l /tmp
      changed_when: false
"""

import os
import tempfile
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import auth_spec
from ansible_collections.navarch.cluster.plugins.module_utils._pods.copy import checksum_of, pieces
from ansible_collections.navarch.cluster.plugins.module_utils._pods.files import PodFiles
from ansible_collections.navarch.cluster.plugins.module_utils._pods.streaming import (
    STDOUT,
    Stdin,
    Target,
    execute,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import hold_variables

display = Display()


class Connection(ConnectionBase):
    """One container."""

    transport = "navarch.cluster.pod"
    has_pipelining = True
    allow_extras = True  # which hands over variables that set no option, to be refused

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._client: Client | None = None

    def _connect(self) -> Connection:
        """There is nothing to hold open: what is kept is the session that commands share."""
        if not self._connected:
            options = {name: self.get_option(name) for name in auth_spec()}
            try:
                hold_variables(self, "ansible_pod_", self._options.get("_extras") or ())
                self._client = Client.from_params(options)
            except ClusterError as problem:
                raise AnsibleConnectionFailure(str(problem)) from None
            display.vvv("IN %s BY %s" % (self._target(), self._client.connection.server), host=self._name())
            self._connected = True
        return self

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self._connected = False

    def reset(self) -> None:
        self.close()
        self._connect()

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        display.vvv("EXEC %s" % cmd, host=self._name())
        out, err = bytearray(), bytearray()
        talk = (
            _Become(self.become, out, err)
            if sudoable and self.become and self.become.expect_prompt()
            else None
        )

        def sink(stream: int, data: bytes) -> None:
            (out if stream == STDOUT else err).extend(data)

        stdin = None
        if talk:
            stdin = Stdin(talk.pieces(in_data or b""), talk.length + len(in_data or b""))
        elif in_data is not None:
            stdin = Stdin.of(in_data)
        try:
            argv = [self.get_option("executable"), "-c", cmd]
            code = execute(self._session(), self._target(), argv, sink, stdin, self.get_option("timeout"))
        except ClusterError as problem:
            raise AnsibleConnectionFailure(str(problem)) from None
        if code in (126, 127) and out.startswith(b"OCI runtime exec failed"):
            raise AnsibleConnectionFailure("executable: %s has no %s" % (self._target(), argv[0]))
        return code, bytes(out), bytes(err)

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        self._connect()
        display.vvv("PUT %s TO %s" % (in_path, out_path), host=self._name())
        if not os.path.isfile(in_path):
            raise AnsibleFileNotFound("there is no file %s" % in_path)
        stdin = Stdin(pieces(in_path), os.path.getsize(in_path))
        try:
            self._files().put(out_path, stdin, checksum_of(in_path), "", "")
        except ClusterError as problem:
            raise AnsibleError(str(problem)) from None

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        self._connect()
        display.vvv("FETCH %s TO %s" % (in_path, out_path), host=self._name())
        handle, beside = tempfile.mkstemp(prefix=".navarch-", dir=os.path.dirname(out_path) or ".")
        try:
            with os.fdopen(handle, "wb") as file:
                self._files().fetch(in_path, file.write)
            os.replace(beside, out_path)
        except ClusterError as problem:
            raise AnsibleError(str(problem)) from None
        finally:
            if os.path.exists(beside):
                os.unlink(beside)

    # -- below

    def _session(self) -> Client:
        if self._client is None:
            raise AnsibleConnectionFailure("the connection to %s is closed" % self._target())
        return self._client

    def _files(self) -> PodFiles:
        return PodFiles(self._session(), self._target(), self.get_option("timeout"))

    def _target(self) -> Target:
        return Target(self.get_option("namespace"), self.get_option("pod"), self.get_option("container"))

    def _name(self) -> str:
        return str(self.get_option("pod"))


class _Become:
    """The talk of a become plugin that asks for a password, on the command's own streams."""

    def __init__(self, become: t.Any, out: bytearray, err: bytearray) -> None:
        self._become = become
        self._out = out
        self._err = err
        self._password = (become.get_option("become_pass") or "").encode("utf-8", "surrogateescape") + b"\n"
        self.length = len(self._password)

    def pieces(self, then: bytes) -> t.Iterator[bytes]:
        while not self._asked():
            if self._become.check_success(bytes(self._out)):
                break
            yield b""
        else:
            yield self._password
        while not self._become.check_success(bytes(self._out)):
            if self._become.check_incorrect_password(bytes(self._err)) or self._again():
                raise AnsibleConnectionFailure("become: the password is not the right one")
            yield b""
        yield from [then] if then else []

    def _asked(self) -> bool:
        return bool(
            self._become.check_password_prompt(bytes(self._out))
            or self._become.check_password_prompt(bytes(self._err))
        )

    def _again(self) -> bool:
        """sudo asks anew where the password was wrong."""
        prompt = (self._become.prompt or "").encode("utf-8", "surrogateescape").strip()
        return bool(prompt) and bytes(self._out + self._err).count(prompt) > 1
