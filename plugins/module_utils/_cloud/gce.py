# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Google's REST APIs (compute v1, resource manager v3): requests, pages, operations, and what goes wrong.

Belongs here: everything that is HTTP. Not here: who we are (``gce_auth``), what a machine is
(``gce_machine``).
"""

from __future__ import annotations

import random
import time
import traceback
import typing as t
import uuid
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from .._api.errors import ClusterError, OptionError
from .._api.transport import is_loopback
from . import gce_auth
from .machine import CloudError

try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import AuthBase
except ImportError:
    HAS_REQUESTS = False
    REQUESTS_IMPORT_ERROR: str | None = traceback.format_exc()
    AuthBase = object  # type: ignore[misc, assignment]  # a stand-in, so that this file imports without requests
else:
    HAS_REQUESTS = True
    REQUESTS_IMPORT_ERROR = None

Object = t.Dict[str, t.Any]
#: Answers after which the same request may succeed. Google's client guide: back off and try again.
_AGAIN = (429, 500, 502, 503, 504)
_AGAIN_REASONS = ("rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED")
#: Reasons of a 403 for a project that does not use Compute Engine at all.
API_OFF = ("accessNotConfigured", "SERVICE_DISABLED")
_TRIES = 5
#: Seconds: for one answer, for one pause between tries, and for all pauses of one request.
_ANSWER, _PAUSE, _PAUSES = 30.0, 30.0, 90.0
#: Warnings in a list that take nothing away from it.
_HARMLESS = ("NO_RESULTS_ON_PAGE", "DEPRECATED_RESOURCE_USED", "NOT_CRITICAL_ERROR")


class _Bearer(AuthBase):
    """As an auth object, because requests lets ~/.netrc override a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: t.Any) -> t.Any:
        request.headers["Authorization"] = "Bearer %s" % self._token
        return request


class Gce:
    """A client that threads may share. ``about`` names in each failure what was asked for."""

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        if not HAS_REQUESTS:
            raise ClusterError(
                "requests is missing here", missing="requests", traceback=REQUESTS_IMPORT_ERROR
            )
        self.api = checked_url(options, "api_url")
        self._credentials = gce_auth.credentials(options)
        self.project = self._credentials.project
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(pool_maxsize=16))
        self._session.mount("http://", HTTPAdapter(pool_maxsize=16))
        self._session.trust_env = not is_loopback(self.api)

    def close(self) -> None:
        self._session.close()

    def request(
        self, verb: str, url: str, about: str, params: Object | None = None, body: Object | None = None
    ) -> Object:
        """One answer. ``url`` is whole, or begins after the API's own. Writes carry a request id, so that to
        try again is safe."""
        if not url.startswith(("http://", "https://")):
            url = "%s/%s" % (self.api, url)
        params = dict(params or {})
        if verb != "GET" and not url.endswith("/wait"):
            params["requestId"] = str(uuid.uuid4())
        paused, token, renewed = 0.0, self._credentials.token(), False
        for attempt in range(1, _TRIES + 1):
            answer, failure = self._send(verb, url, token, params, body)
            if failure is None:
                return _decoded(answer, about)
            if failure.code == 401 and self._credentials.renewable and not renewed:
                token, renewed = self._credentials.token(unlike=token), True
                continue
            pause = _pause(answer, attempt)
            again = failure.code in _AGAIN or failure.reason in _AGAIN_REASONS or failure.reason == "cut off"
            if not again or attempt == _TRIES or paused + pause > _PAUSES:
                tries = " (tried %d times)" % attempt if again else ""
                raise CloudError("%s: %s%s" % (about, failure, tries), failure.code, failure.reason)
            time.sleep(pause)
            paused += pause
        raise CloudError("%s: no answer after %d tries" % (about, _TRIES))

    def pages(self, url: str, about: str, params: Object | None = None) -> t.Iterator[Object]:
        """The pages of a list, each as the API sent it."""
        params = dict(params or {})
        while True:
            page = self.request("GET", url, about, params)
            yield page
            if not page.get("nextPageToken"):
                return
            params["pageToken"] = page["nextPageToken"]

    def finished(self, operation: Object, about: str, deadline: float) -> Object:
        """The operation when it is done: Google's wait answers when it is, or after two minutes. An operation
        that failed raises."""
        while operation.get("status") != "DONE":
            if time.monotonic() >= deadline:
                raise CloudError("%s: still %s when the time was up" % (about, operation.get("status")))
            began = time.monotonic()
            where = "%s/%s" % (self.api, str(operation["selfLink"]).partition("/v1/")[2])
            # An answer may take longer than others: the server waits.
            operation = self.request("POST", where + "/wait", about)
            if operation.get("status") != "DONE" and time.monotonic() - began < 0.5:
                time.sleep(0.5)
        errors = (operation.get("error") or {}).get("errors") or []
        if errors:
            said = "; ".join("%s: %s" % (one.get("code"), one.get("message")) for one in errors)
            raise CloudError("%s: %s" % (about, said), reason=str(errors[0].get("code") or ""))
        return operation

    def _send(
        self, verb: str, url: str, token: str, params: Object, body: Object | None
    ) -> tuple[t.Any, CloudError | None]:
        """The answer, and what is wrong with it."""
        try:
            answer = self._session.request(
                verb, url, params=params, json=body, auth=_Bearer(token), allow_redirects=False,
                timeout=(10.0, 150.0 if url.endswith("/wait") else _ANSWER),
            )  # fmt: skip
        except requests.exceptions.SSLError:
            return None, CloudError("%s does not prove who it is (TLS)" % _host(url))
        except requests.exceptions.ConnectionError as problem:
            return None, _unconnected(url, problem)
        except requests.exceptions.RequestException as problem:
            return None, CloudError("%s: %s" % (_host(url), type(problem).__name__), reason="cut off")
        if answer.status_code == 200:
            return answer, None
        return answer, self._refused(answer)

    def _refused(self, answer: t.Any) -> CloudError:
        code, reason, said = answer.status_code, "", ""
        try:
            error = answer.json()["error"]
            said = str(error.get("message") or "")
            reason = str((error.get("errors") or [{}])[0].get("reason") or "")
            for detail in error.get("details") or []:
                reason = str(detail.get("reason") or reason)
        except (ValueError, KeyError, TypeError, AttributeError):
            said = answer.reason or ""
        if code == 401:
            option = "the credentials" if self._credentials.renewable else "access_token"
            return CloudError("%s: expired, or not Google's (401)" % option, code, reason)
        words = {
            403: "these credentials may not do this (403%s)",
            404: "there is no such thing, or it is hidden from these credentials (404%s)",
            409: "conflict (409%s)",
            429: "too many requests (429%s)",
        }
        told = words.get(code, "the cloud answered %d%%s" % code) % (" " + reason if reason else "")
        return CloudError("%s: %s" % (told, said[:500]) if said else told, code, reason)


def shortfall(part: Object) -> list[str]:
    """What a list, or one scope of an aggregated list, says that it lacks."""
    missing = [str(one) for one in part.get("unreachables") or []]
    warning = part.get("warning") or {}
    if warning and warning.get("code") not in _HARMLESS:
        missing.append("%s: %s" % (warning.get("code"), warning.get("message") or "no message"))
    return missing


def checked_url(options: t.Mapping[str, t.Any], name: str) -> str:
    url = str(options[name]).rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an end, a port that is no number
        usable = False
    if not usable:
        raise OptionError(name, "%s is no address such as https://compute.googleapis.com/compute/v1" % url)
    if parts.scheme == "http" and not is_loopback(url):
        raise OptionError(name, "must be https: the access token would travel in the clear")
    return url


def _decoded(answer: t.Any, about: str) -> Object:
    try:
        decoded = answer.json()
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise CloudError("%s: the answer of %s is not JSON of an object" % (about, _host(answer.url)))
    return decoded


def _pause(answer: t.Any, attempt: int) -> float:
    """Seconds until the next try: what the server asks for (RFC 9110, 10.2.3), else longer each time."""
    asked = answer.headers.get("Retry-After", "") if answer is not None else ""
    if asked.isdigit():
        return min(float(asked), _PAUSE)
    if asked:
        try:
            return min(max(parsedate_to_datetime(asked).timestamp() - time.time(), 0.0), _PAUSE)
        except ValueError:
            pass  # neither seconds nor a date: as if it were not there
    return min(0.25 * 2.0**attempt, _PAUSE) * (0.75 + random.random() / 2)


def _unconnected(url: str, problem: Exception) -> CloudError:
    said = str(problem)
    if "refused" in said:
        return CloudError("nobody listens at %s (connection refused)" % _host(url))
    if "resolve" in said or "Name or service" in said:
        return CloudError("no address is known for %s" % _host(url))
    if "timed out" in said:
        return CloudError("%s does not answer in time" % _host(url))
    return CloudError("%s ended the connection" % _host(url), reason="cut off")


def _host(url: str) -> str:
    return urlsplit(url).netloc
