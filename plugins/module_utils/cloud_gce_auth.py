# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who we are for Google: a plain access token, or what google-auth makes tokens from.

Belongs here: the kinds of credentials, and getting and renewing a token. Not here: any request to the cloud.
"""

from __future__ import annotations

import json
import threading
import typing as t
import warnings

from .cloud_machine import CloudError
from .errors import OptionError

Options = t.Mapping[str, t.Any]


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
            return str(self._credential.token)


def credentials(options: Options) -> Token:
    """The credentials that the options of ``gce_auth_spec`` tell of."""
    kind = options["auth_kind"] or _kind(options)
    if kind == "accesstoken":
        return Token(_needed(options, "access_token", kind).strip())
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
    except google.auth.exceptions.DefaultCredentialsError:
        raise OptionError(
            "auth_kind",
            "no application default credentials here: give service_account_file, service_account_contents or "
            "access_token, or set GOOGLE_APPLICATION_CREDENTIALS",
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
