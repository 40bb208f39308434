# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials from a program that a kubeconfig names (``exec``): the API ``client.authentication.k8s.io``,
versions v1 and v1beta1 (Kubernetes documentation, "client-go credential plugins").

Belongs here: reading that part of a kubeconfig, running the program, and its answer. Not here: keeping it
(``credentials``).
"""

from __future__ import annotations

import base64
import json
import os
import sys
import typing as t
from dataclasses import dataclass

from .credentials import Credential, moment
from .errors import ClusterError, OptionError

if t.TYPE_CHECKING:
    from .kubeconfig import Connection

_GROUP = "client.authentication.k8s.io/"
_VERSIONS = (_GROUP + "v1", _GROUP + "v1beta1")
_MODES = ("Never", "IfAvailable", "Always")
#: The extension of a cluster whose content the program gets as the cluster's own settings.
_EXTENSION = _GROUP + "exec"
_SECONDS = 120


@dataclass(frozen=True)
class ExecPlugin:
    """The program and what it is given. ``settings`` is JSON text."""

    where: str
    api_version: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    mode: str = "IfAvailable"
    hint: str = ""
    tells_cluster: bool = False
    settings: str | None = None

    def __repr__(self) -> str:  # a traceback shows reprs, and the environment may hold secrets
        return "ExecPlugin(%s)" % self.command

    def title(self) -> str:
        return "the credential plugin %s" % self.command

    def fetch(self, connection: Connection, last: Credential | None, refused: bool) -> Credential:
        """Runs the program. It is asked the same whether or not its last answer was refused."""
        interactive = self.mode != "Never" and _has_terminal()
        if self.mode == "Always" and not interactive:
            self._fail("it wants to ask somebody (interactiveMode: Always), and there is no terminal here")
        return self._credential(self._run(self._request(connection, interactive), interactive))

    def _request(self, connection: Connection, interactive: bool) -> str:
        spec: dict[str, t.Any] = {"interactive": interactive}
        if self.tells_cluster:
            cluster: dict[str, t.Any] = {"server": connection.server}
            if connection.server_name:
                cluster["tls-server-name"] = connection.server_name
            if not connection.verify:
                cluster["insecure-skip-tls-verify"] = True
            if connection.ca:
                cluster["certificate-authority-data"] = base64.b64encode(connection.ca.encode()).decode()
            if connection.proxy:
                cluster["proxy-url"] = connection.proxy
            if self.settings is not None:
                cluster["config"] = json.loads(self.settings)
            spec["cluster"] = cluster
        return json.dumps({"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec})

    def _run(self, request: str, interactive: bool) -> bytes:
        import subprocess  # which few tasks need

        env = dict(os.environ, **dict(self.env))
        env["KUBERNETES_EXEC_INFO"] = request
        try:
            # Not a module's run_command: plugins have no module, and it has no terminal to give.
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                [self.command, *self.args],
                env=env,
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if interactive else subprocess.PIPE,
                timeout=None if interactive else _SECONDS,
                check=False,
            )
        except FileNotFoundError:
            hint = " ".join(self.hint.split())
            self._fail("there is no such program%s" % (". " + hint if hint else ""))
        except OSError as problem:
            self._fail("it cannot be run: %s" % problem.strerror)
        except subprocess.TimeoutExpired:
            self._fail("it has not ended after %d seconds" % _SECONDS)
        if done.returncode:
            lines = (done.stderr or b"").decode("utf-8", "replace").strip().splitlines()
            said = "; ".join(line.strip() for line in lines[-3:] if line.strip())[-500:]
            self._fail("it ended with exit code %d%s" % (done.returncode, ": " + said if said else ""))
        return done.stdout

    def _credential(self, out: bytes) -> Credential:
        """What the program has answered. Its words are not told: they may be credentials."""
        try:
            answer = json.loads(out)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
            self._fail("what it answers is no ExecCredential in JSON")
        if answer.get("apiVersion") != self.api_version:
            self._fail(
                "it answers in version %s, and the kubeconfig says %s"
                % (str(answer.get("apiVersion"))[:100], self.api_version)
            )
        status = answer.get("status")
        if not isinstance(status, dict):
            self._fail("its answer has no status")
        fields = [status.get(key) for key in ("token", "clientCertificateData", "clientKeyData")]
        if any(field is not None and not isinstance(field, str) for field in fields):
            self._fail("its answer has a token or certificate that is no text")
        token, certificate, key = (field or None for field in fields)
        if not token and not certificate and not key:
            self._fail("its answer has neither a token nor a certificate with its key")
        if bool(certificate) != bool(key):
            self._fail("its answer has only one of certificate and key")
        if token and not (token.isascii() and token.isprintable()):
            self._fail("its answer has a token with characters that no token has")
        try:
            ends = status.get("expirationTimestamp")
            expires = moment(ends) if ends else None
        except ValueError:
            self._fail("its answer has an expirationTimestamp that is no time of RFC 3339")
        return Credential(token, certificate, key, expires)

    def _fail(self, said: str) -> t.NoReturn:
        raise ClusterError("%s: credential plugin %s: %s" % (self.where, self.command, said))


def from_user(given: t.Any, cluster: t.Mapping[str, t.Any], folder: str, where: str) -> ExecPlugin:
    """The plugin that ``exec`` of a kubeconfig's user describes. A command that is a path with folders starts
    at ``folder``, that of the kubeconfig.
    """

    def wrong(key: str, said: str) -> t.NoReturn:
        raise OptionError(where, "exec%s: %s" % ("." + key if key else "", said))

    if not isinstance(given, dict):
        wrong("", "must be a mapping")
    version, command = given.get("apiVersion"), given.get("command")
    if version not in _VERSIONS:
        wrong("apiVersion", "must be %s, not %r" % (" or ".join(_VERSIONS), version))
    if not command or not isinstance(command, str):
        wrong("command", "must name a program")
    args, env = given.get("args") or [], given.get("env") or []
    if not isinstance(args, list):
        wrong("args", "must be a list")
    if not isinstance(env, list) or any(not isinstance(one, dict) or not one.get("name") for one in env):
        wrong("env", "must be a list of name and value")
    mode = given.get("interactiveMode") or ("IfAvailable" if version == _VERSIONS[1] else None)
    if mode not in _MODES:
        wrong("interactiveMode", "must be one of %s, not %r" % (", ".join(_MODES), mode))
    if os.sep in command:
        command = os.path.join(folder, os.path.expanduser(command))
    return ExecPlugin(
        where,
        str(version),
        command,
        tuple(str(word) for word in args),
        tuple((str(one["name"]), str(one.get("value") or "")) for one in env),
        str(mode),
        str(given.get("installHint") or ""),
        bool(given.get("provideClusterInfo")),
        _settings(cluster.get("extensions")),
    )


def _settings(extensions: t.Any) -> str | None:
    for one in extensions if isinstance(extensions, list) else []:
        if isinstance(one, dict) and one.get("name") == _EXTENSION:
            return json.dumps(one.get("extension"), sort_keys=True, default=str)
    return None


def _has_terminal() -> bool:
    try:
        return sys.stdin.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False
