# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials from an OpenID provider (``auth-provider`` named ``oidc`` of a kubeconfig): an ID token, and
another one by the refresh token when it has ended (OpenID Connect Core 1.0, section 12; Discovery 1.0,
section 4).

Belongs here: that exchange, and writing its tokens into the kubeconfig as kubectl does. Not here: logging in,
which wants a browser, and keeping tokens in this process (``credentials``).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import quote_plus

from . import yaml_text
from .credentials import Credential
from .errors import ClusterError, OptionError
from .transport import HAS_REQUESTS, PinnedAdapter, innermost, is_loopback, token_claims, trust

if t.TYPE_CHECKING:
    from .kubeconfig import Connection
if HAS_REQUESTS:
    import requests

_SECONDS = 30
_LOCK_SECONDS = 5.0


@dataclass(frozen=True)
class OpenId:
    """A user of an OpenID provider, and the file in which its tokens stand ("" where there is none)."""

    where: str
    user: str
    path: str
    issuer: str
    client_id: str
    client_secret: str | None = None
    id_token: str | None = None
    refresh_token: str | None = None
    ca: str | None = None

    def __repr__(self) -> str:  # a traceback shows reprs: no credentials in it
        return "OpenId(%s at %s)" % (self.user, self.issuer)

    def title(self) -> str:
        return "the OpenID provider %s" % self.issuer

    def fetch(self, connection: Connection, last: Credential | None, refused: bool) -> Credential:
        """The ID token that is there while it lasts, else another one."""
        if last is None and not refused:
            given = _credential(self.id_token, self.refresh_token)
            if given is not None:
                return given
        with _alone(self.path):  # a refresh token may serve only once, and forks begin together
            there = self._written()
            known = last.token if last else self.id_token
            if there is not None and there.token != known and not there.ended:
                return there
            refresh = (there and there.refresh) or (last and last.refresh) or self.refresh_token
            if not refresh:
                self._fail("the ID token has ended or is refused, and there is no refresh-token")
            made = self._refreshed(refresh)
            self._write(made)
            return made

    # -- the provider

    def _refreshed(self, refresh: str) -> Credential:
        """OpenID Connect Core 1.0, section 12.1 and 12.2."""
        session = requests.Session()
        session.auth = _Nobody()  # and not who ~/.netrc has for this host
        session.mount("https://", PinnedAdapter(trust(self.ca, self.where), None))
        session.trust_env = not is_loopback(self.issuer)
        with session:
            provider = self._ask(session, "GET", self.issuer + "/.well-known/openid-configuration")
            if str(provider.get("issuer")).rstrip("/") != self.issuer:  # which Discovery, 4.3, asks for
                self._fail("it calls itself %r" % (str(provider.get("issuer"))[:200],))
            endpoint = str(provider.get("token_endpoint") or "")
            if not _is_safe(endpoint):
                self._fail("its token_endpoint is no https:// address")
            form = {"grant_type": "refresh_token", "refresh_token": refresh}
            ways = provider.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
            headers = {}
            if not self.client_secret:
                form["client_id"] = self.client_id
            elif "client_secret_basic" in ways or "client_secret_post" not in ways:
                pair = "%s:%s" % (
                    quote_plus(self.client_id),
                    quote_plus(self.client_secret),
                )  # RFC 6749, 2.3.1
                headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            else:
                form.update(client_id=self.client_id, client_secret=self.client_secret)
            answer = self._ask(session, "POST", endpoint, data=form, headers=headers)
        made = _credential(answer.get("id_token"), str(answer.get("refresh_token") or refresh))
        if made is None:
            self._fail("it gave no ID token that lasts (was scope openid asked for at the login?)")
        if token_claims(made.token).get("iss", "").rstrip("/") != self.issuer:
            self._fail("it gave an ID token of another issuer")
        return made

    def _ask(self, session: t.Any, verb: str, url: str, **send: t.Any) -> dict[str, t.Any]:
        try:
            answer = session.request(verb, url, timeout=_SECONDS, allow_redirects=verb == "GET", **send)
            found = answer.json()
        except ValueError:
            found = None
        except requests.exceptions.RequestException as problem:
            self._fail("cannot ask it: %s" % innermost(problem))
        if answer.status_code != 200:
            error = found if isinstance(found, dict) else {}  # RFC 6749, 5.2
            said = [str(error[key])[:300] for key in ("error", "error_description") if error.get(key)]
            self._fail("it answers %d %s" % (answer.status_code, ": ".join(said)))
        if not isinstance(found, dict):
            self._fail("it answers with something that is no JSON object")
        return found

    def _fail(self, said: str) -> t.NoReturn:
        raise ClusterError("%s: %s: %s" % (self.where, self.title(), said))

    # -- the kubeconfig

    def _written(self) -> Credential | None:
        """What stands in the file by now: somebody else may have got other tokens."""
        if not self.path:
            return None
        config = self._config(self._read())
        token, refresh = config.get("id-token"), config.get("refresh-token")
        return Credential(token, expires=_ends(token) or 0.0, refresh=refresh)

    def _read(self) -> dict[str, t.Any]:
        try:
            with open(self.path, encoding="utf-8") as file:
                found = yaml_text.documents(file.read(), self.where)
        except (OSError, ValueError):
            return {}
        return found[0] if len(found) == 1 and isinstance(found[0], dict) else {}

    def _config(self, content: dict[str, t.Any]) -> dict[str, t.Any]:
        """The settings of this user's provider in a kubeconfig, to be changed in place."""
        for entry in content.get("users") or []:
            if isinstance(entry, dict) and entry.get("name") == self.user:
                config = ((entry.get("user") or {}).get("auth-provider") or {}).get("config")
                return config if isinstance(config, dict) else {}
        return {}

    def _write(self, made: Credential) -> None:
        """Puts the tokens into the file as a whole, where it can be written. Else this process keeps them."""
        content = self._read() if self.path else {}
        config = self._config(content)
        if not config:
            return
        config.update({"id-token": made.token, "refresh-token": made.refresh})
        path = os.path.realpath(self.path)
        with contextlib.suppress(OSError), _kubectls_lock(path):
            import yaml  # what has read the file

            as_it_was = os.stat(path)
            handle, beside = tempfile.mkstemp(prefix=".navarch-", dir=os.path.dirname(path))
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    if path.endswith(".json"):
                        json.dump(content, file, indent=2)
                    else:
                        yaml.safe_dump(content, file, sort_keys=False, allow_unicode=True)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(beside, as_it_was.st_mode & 0o7777)
                if os.geteuid() == 0:
                    os.chown(beside, as_it_was.st_uid, as_it_was.st_gid)
                os.replace(beside, path)
            except BaseException:
                os.unlink(beside)
                raise


class _Nobody(requests.auth.AuthBase if HAS_REQUESTS else object):  # type: ignore[misc]  # imports without it
    def __call__(self, request: t.Any) -> t.Any:
        return request


def from_user(given: t.Any, name: str, path: str, ca: str | None, where: str) -> OpenId:
    """The provider that ``auth-provider`` of a kubeconfig's user describes. ``path``: the file in which it
    does, ``ca``: the PEM text that its ``idp-certificate-authority`` names.
    """
    kind = given.get("name") if isinstance(given, dict) else None
    if kind != "oidc":
        raise OptionError(
            where,
            "auth-provider %s is none that Kubernetes still knows (oidc): an exec plugin has taken its place"
            % kind,
        )
    config = given.get("config")
    config = config if isinstance(config, dict) else {}
    values = {key: str(value) for key, value in config.items() if value not in (None, "")}
    for key in ("idp-issuer-url", "client-id"):
        if key not in values:
            raise OptionError(where, "auth-provider oidc: %s is missing" % key)
    issuer = values["idp-issuer-url"].rstrip("/")
    if not _is_safe(issuer):
        raise OptionError(where, "auth-provider oidc: idp-issuer-url must begin with https://")
    return OpenId(
        where,
        name,
        path,
        issuer,
        values["client-id"],
        values.get("client-secret"),
        values.get("id-token"),
        values.get("refresh-token"),
        ca,
    )


def _is_safe(url: str) -> bool:
    """Tokens do not go over a network in the clear."""
    return url.startswith("https://") or (url.startswith("http://") and is_loopback(url))


def _ends(token: t.Any) -> float | None:
    try:
        return float(token_claims(token)["exp"])
    except (KeyError, TypeError, ValueError):
        return None


def _credential(token: t.Any, refresh: str | None) -> Credential | None:
    """A token that has not ended."""
    ends = _ends(token)
    made = Credential(str(token), expires=ends, refresh=refresh)
    return None if ends is None or made.ended else made


@contextlib.contextmanager
def _alone(path: str) -> t.Iterator[None]:
    """One process of ours at a time for a kubeconfig, also where the file itself cannot be written."""
    import fcntl

    if not path:
        yield
        return
    folder = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextlib.contextmanager
def _kubectls_lock(path: str) -> t.Iterator[None]:
    """The lock that kubectl takes when it changes a kubeconfig. Raises OSError when it does not get free."""
    lock, deadline = path + ".lock", time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    try:
        yield
    finally:
        os.unlink(lock)
