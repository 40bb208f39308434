# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who we are for Google: a plain access token, or what google-auth makes tokens from.

Belongs here: the kinds of credentials, and getting and renewing a token. Not here: any request to the cloud.
"""

from __future__ import annotations

import json
import os
import threading
import typing as t
import warnings

from .._api.errors import OptionError
from .machine import CloudError

Options = t.Mapping[str, t.Any]
_NAMED = "GOOGLE_APPLICATION_CREDENTIALS"
#: How the names of the environment variables begin that google-auth makes credentials and projects from.
_SAYING = ("CLOUDSDK_", "GCE_", "GCLOUD_", "GOOGLE_")


class Token:
    """A token that was given to us, and that only its giver can renew."""

    project: str | None = None
    renewable = False

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self, unlike: str | None = None) -> str:
        """A token, another one than ``unlike`` where there can be one."""
        return self._token


class Renewing(Token):
    """Tokens of a google-auth credential; threads share it."""

    renewable = True

    def __init__(self, credential: t.Any, project: str | None, origin: str) -> None:
        super().__init__("")
        self.project = project
        self._credential = credential
        self._origin = origin
        self._lock = threading.Lock()

    def token(self, unlike: str | None = None) -> str:
        from google.auth import exceptions
        from google.auth.transport.requests import Request

        with self._lock:
            if not self._credential.valid or self._credential.token == unlike:
                try:
                    self._credential.refresh(Request())
                except exceptions.GoogleAuthError as problem:
                    raise CloudError("%s: no token to be had: %s" % (self._origin, _said(problem))) from None
                except (
                    KeyError,
                    TypeError,
                    ValueError,
                ):  # a proxy's page, which google-auth takes for JSON
                    raise CloudError(
                        "%s: no token to be had: the answer is not one of Google's" % self._origin
                    ) from None
            return str(self._credential.token)


def credentials(options: Options) -> Token:
    """The credentials that the options of ``gce_auth_spec`` tell of."""
    kind = options["auth_kind"] or _kind(options)
    if kind == "accesstoken":
        return Token(_sendable(_needed(options, "access_token", kind).strip()))
    try:
        import google.auth  # optional, and slow to import: only where it is used
    except ImportError:
        raise OptionError(
            "auth_kind",
            "%s needs google-auth on this host: pip install google-auth (or give access_token)" % kind,
        ) from None
    if kind == "serviceaccount":
        return _service_account(options)
    if kind == "machineaccount":
        from google.auth import compute_engine

        account = options["service_account_email"] or "default"
        credential = compute_engine.Credentials(service_account_email=account, scopes=options["scopes"])
        return Renewing(credential, None, "auth_kind machineaccount")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            credential, project = google.auth.default(scopes=options["scopes"])
    except google.auth.exceptions.DefaultCredentialsError as problem:
        if os.environ.get(_NAMED):
            raise OptionError(_NAMED, _said(problem)) from None
        raise OptionError(
            "auth_kind",
            "no application default credentials here: give service_account_file, service_account_contents or "
            "access_token, or set %s" % _NAMED,
        ) from None
    return Renewing(credential, project, "auth_kind application")


def secrets(options: Options) -> set[str]:
    """What must not be shown, including the private key within the contents of a service account."""
    found = {str(options[name]) for name in ("access_token", "service_account_contents") if options.get(name)}
    try:
        contents = json.loads(options.get("service_account_contents") or "{}")
    except ValueError:
        return found
    if isinstance(contents, dict):
        found |= {str(contents[name]) for name in ("private_key", "private_key_id") if contents.get(name)}
    return found


def identity(options: Options) -> t.Any:
    """What tells of the credentials besides the options: a key file's content, or what google-auth reads."""
    kind = options["auth_kind"] or _kind(options)
    if kind == "accesstoken":
        return None
    if kind == "serviceaccount":
        path = options["service_account_file"]
        return None if options["service_account_contents"] or not path else _content(path)
    said = {key: value for key, value in os.environ.items() if key.startswith(_SAYING)}
    folder = said.get("CLOUDSDK_CONFIG") or os.path.expanduser("~/.config/gcloud")
    login = os.path.join(folder, "application_default_credentials.json")
    return said, _content(said.get(_NAMED) or login)


def _content(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None  # which is told where it is needed


def _kind(options: Options) -> str:
    if options["access_token"]:
        return "accesstoken"
    if options["service_account_file"] or options["service_account_contents"]:
        return "serviceaccount"
    return "application"


def _needed(options: Options, name: str, kind: str) -> str:
    if not options[name]:
        raise OptionError(name, "is needed for auth_kind %s" % kind)
    return str(options[name])


def _sendable(token: str) -> str:
    """A token as it may stand in a header: what cannot be sent would be shown by whoever refuses it."""
    if not (token.isascii() and token.isprintable()):
        raise OptionError("access_token", "holds characters that no token has")
    return token


def _service_account(options: Options) -> Token:
    from google.oauth2 import service_account

    name = "service_account_contents" if options["service_account_contents"] else "service_account_file"
    text = _needed(options, name, "serviceaccount")
    if name == "service_account_file":
        try:
            with open(text, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as problem:
            raise OptionError(
                name, "cannot read %s: %s" % (text, getattr(problem, "strerror", problem))
            ) from None
    try:
        info = json.loads(text)
    except ValueError:
        raise OptionError(name, "is not JSON, as the key file of a service account is") from None
    if not isinstance(info, dict) or info.get("type") != "service_account":
        raise OptionError(name, "is not the key of a service account (type: service_account)")
    try:
        credential = service_account.Credentials.from_service_account_info(info, scopes=options["scopes"])
    except ValueError:
        missing = [key for key in ("client_email", "token_uri", "private_key") if not info.get(key)]
        what = "%s is missing in it" % ", ".join(missing) if missing else "its private_key cannot be read"
        raise OptionError(name, what) from None
    return Renewing(credential, info.get("project_id"), name)


def _said(problem: Exception) -> str:
    """The first thing that google-auth says: what follows is the whole answer, parsed and not."""
    return str(problem.args[0] if problem.args else problem)
