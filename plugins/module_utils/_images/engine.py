# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Docker Engine's images, by its own API on its socket, with nothing beside the standard library.

Belongs here: requests and their failures. Not here: what a task wants of an image (``image``).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import typing as t
from urllib.parse import quote, urlencode

from .._api.errors import ClusterError, OptionError

Answer = t.Any
_SECONDS = 600.0


class EngineError(ClusterError):
    """The Engine's own answer."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__("the Engine answers %d: %s" % (code, said or "no message"))
        self.code = code
        self.said = said


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        except BaseException:
            self.sock.close()
            raise


class Engine:
    """With ``dry_run`` nothing is to be written; who uses it sees to that."""

    def __init__(self, path: str, dry_run: bool = False) -> None:
        self.dry_run = dry_run
        self._path = path

    @classmethod
    def from_params(cls, params: t.Mapping[str, t.Any], dry_run: bool = False) -> Engine:
        return cls(os.path.expanduser(params["docker_socket"]), dry_run)

    def image(self, name: str) -> dict[str, t.Any] | None:
        try:
            return t.cast("dict[str, t.Any]", self._ask("GET", "/images/%s/json" % quote(name)))
        except EngineError as problem:
            if problem.code == 404:
                return None
            raise

    def images(self, reference: str | None) -> list[dict[str, t.Any]]:
        query = {"filters": json.dumps({"reference": [reference]})} if reference else {}
        return t.cast("list[dict[str, t.Any]]", self._ask("GET", "/images/json", query))

    def import_root(self, repository: str, tag: str, changes: t.Sequence[str], file: t.IO[bytes]) -> None:
        """An image of one layer from the tar archive of a root file system."""
        query = [("fromSrc", "-"), ("repo", repository), ("tag", tag)]
        query += [("changes", change) for change in changes]
        _raise_within(self._ask("POST", "/images/create", query, file))

    def load(self, file: t.IO[bytes]) -> None:
        """The images of an archive as ``docker save`` makes it."""
        _raise_within(self._ask("POST", "/images/load", {"quiet": "1"}, file))

    def tag(self, name: str, repository: str, tag: str) -> None:
        self._ask("POST", "/images/%s/tag" % quote(name), {"repo": repository, "tag": tag})

    def remove(self, name: str, force: bool) -> None:
        self._ask("DELETE", "/images/%s" % quote(name), {"force": "1" if force else "0"})

    def _ask(
        self,
        verb: str,
        path: str,
        query: t.Mapping[str, str] | t.Sequence[tuple[str, str]] = (),
        file: t.IO[bytes] | None = None,
    ) -> Answer:
        connection = _Unix(self._path)
        headers = {"Host": "localhost"}
        if file is not None:
            headers.update({"Content-Type": "application/x-tar", "Content-Length": str(_size(file))})
        try:
            connection.request(verb, path + ("?" + urlencode(query) if query else ""), file, headers)
            answer = connection.getresponse()
            return _decoded(answer.status, answer.read())
        except FileNotFoundError:
            raise OptionError(
                "docker_socket", "there is no socket %s: no Engine runs here" % self._path
            ) from None
        except PermissionError:
            raise OptionError("docker_socket", "%s is not for this user: use become" % self._path) from None
        except (OSError, http.client.HTTPException) as problem:
            said = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
            raise OptionError("docker_socket", "no Engine answers at %s: %s" % (self._path, said)) from None
        finally:
            connection.close()


def _size(file: t.IO[bytes]) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _decoded(code: int, data: bytes) -> Answer:
    """One JSON value, or several, one a line."""
    text = data.decode("utf-8", "replace").strip()
    try:
        values = [json.loads(text)] if text else []
    except ValueError:
        try:
            values = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            values = [{"message": text[:500]}]
    if code >= 400:
        said = values[0].get("message") if values and isinstance(values[0], dict) else ""
        raise EngineError(code, str(said or text[:500]))
    return values[0] if len(values) == 1 else values


def _raise_within(answer: Answer) -> None:
    """Long acts answer 200 first and tell of failures in what follows."""
    for line in answer if isinstance(answer, list) else [answer]:
        if isinstance(line, dict) and line.get("error"):
            raise EngineError(500, str(line["error"]))
