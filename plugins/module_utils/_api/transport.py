# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS and authentication below the client: what ``requests`` needs to speak to one cluster and to nobody
else.

Belongs here: the session, its trust and its credentials. Not here: any knowledge of the API.
"""

from __future__ import annotations

import base64
import gc
import io
import ipaddress
import json
import os
import ssl
import tempfile
import time
import traceback
import typing as t
from urllib.parse import urlencode, urlsplit

from . import credentials
from .errors import ClusterError, StatusError, TrustError, status_error
from .kubeconfig import Connection, read_file

_collects = gc.isenabled()
gc.disable()  # nothing of so much code is garbage, and to look for it is a sixth of what importing it takes
try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import AuthBase
    from requests.structures import CaseInsensitiveDict
except ImportError:
    HAS_REQUESTS = False
    REQUESTS_IMPORT_ERROR: str | None = traceback.format_exc()
    HTTPAdapter = object  # type: ignore[misc, assignment]  # a stand-in, so that this file imports without requests
    AuthBase = object  # type: ignore[misc, assignment]  # as above
else:
    HAS_REQUESTS = True
    REQUESTS_IMPORT_ERROR = None
finally:
    if _collects:
        gc.enable()


class PinnedAdapter(HTTPAdapter):
    """Trusts what its SSL context trusts. Left alone, requests would add the web's authorities to the
    cluster's.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str | None) -> None:
        self.context = context
        self.server_name = server_name
        self.tls_session: ssl.SSLSession | None = (
            None  # of the last stream: the next one need not shake hands anew
        )
        self._tls: dict[str, t.Any] = {"ssl_context": context}
        if server_name:
            self._tls.update(server_hostname=server_name, assert_hostname=server_name)
        self._required = "CERT_NONE" if context.verify_mode == ssl.CERT_NONE else "CERT_REQUIRED"
        super().__init__()

    def init_poolmanager(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        kwargs.update(self._tls)
        return super().init_poolmanager(*args, **kwargs)

    def proxy_manager_for(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        kwargs.update(self._tls)
        return super().proxy_manager_for(*args, **kwargs)

    def use(self, context: ssl.SSLContext) -> None:
        """Other trust or another client certificate, for connections from now on."""
        self.close()
        self.context, self.tls_session = context, None
        self._tls["ssl_context"] = context
        self.init_poolmanager(self._pool_connections, self._pool_maxsize, block=self._pool_block)
        self.proxy_manager = {}

    def cert_verify(self, conn: t.Any, url: t.Any, verify: t.Any, cert: t.Any) -> None:
        conn.cert_reqs = self._required
        conn.ca_certs = None
        conn.ca_cert_dir = None


class Credentials(AuthBase):
    """The Authorization header. An auth object, because requests lets ~/.netrc override a plain header."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._used: credentials.Credential | None = None
        self.adapter: PinnedAdapter | None = None  # of which the client certificate is kept up to date

    def __call__(self, request: t.Any) -> t.Any:
        connection = self._connection
        token = bearer(connection, self._follow())
        if token:
            request.headers["Authorization"] = "Bearer %s" % token
        elif connection.username and connection.password:
            request = requests.auth.HTTPBasicAuth(connection.username, connection.password)(request)
        if connection.impersonate:
            from urllib3._collections import HTTPHeaderDict  # requests' own holds one value of a name

            several = HTTPHeaderDict(request.headers)
            for name, value in connection.impersonate:
                several.add(name, value)
            request.headers = several
        return request

    def renew(self) -> bool:
        """Gets other credentials after a 401. False where there are none to be got."""
        return credentials.renew(self._connection, self._used)

    def _follow(self) -> credentials.Credential | None:
        """The credentials of the connection's source, whose certificate is used from now on."""
        held, used = credentials.current(self._connection), self._used
        if held is not None and self.adapter and held.certificate != (used and used.certificate):
            self.adapter.use(ssl_context(self._connection, held))
        self._used = held
        return held


def bearer(connection: Connection, held: credentials.Credential | None) -> str | None:
    """The token that the cluster is shown. ``held`` is what the connection's source gave, if it has one."""
    if held is not None:
        return held.token
    if not connection.token and connection.token_file:
        return read_file(connection.token_file, "tokenFile").strip()
    return connection.token


def make_session(connection: Connection) -> t.Any:
    """A ``requests`` session for one cluster."""
    if not HAS_REQUESTS:
        raise ClusterError(
            "requests is missing on this host", missing="requests", traceback=REQUESTS_IMPORT_ERROR
        )
    session = requests.Session()
    session.auth = Credentials(connection)
    if is_loopback(connection.server):  # never by way of HTTPS_PROXY, as kubectl has it
        session.trust_env = False
    if connection.server.startswith("https://"):
        adapter = PinnedAdapter(ssl_context(connection), connection.server_name)
        session.mount("https://", adapter)
        session.auth.adapter = adapter
    if connection.proxy:
        session.proxies = {"http": connection.proxy, "https": connection.proxy}
    return session


class Sender:
    """Sends requests for one cluster, without what a session works out anew for each of them."""

    def __init__(self, connection: Connection, session: t.Any) -> None:
        self._auth = session.auth
        self._adapter = session.get_adapter(connection.server)
        self._verify = connection.verify
        self._proxies = dict(session.proxies)
        if session.trust_env and not self._proxies:
            self._proxies = requests.utils.get_environ_proxies(connection.server)

    def send(
        self,
        verb: str,
        url: str,
        query: t.Mapping[str, t.Any] | None,
        headers: t.Mapping[str, str],
        body: bytes | io.BytesIO | None,
        timeout: tuple[float, float],
        stream: bool,
    ) -> t.Any:
        """The answer, whatever its code, with all of its content unless it is a stream."""
        request = requests.PreparedRequest()
        request.method = verb
        request.url = "%s?%s" % (url, urlencode(query)) if query else url
        request.headers = CaseInsensitiveDict(headers)
        request.headers["Accept-Encoding"] = "gzip"
        if body is not None or verb != "GET":
            size = body.getbuffer().nbytes if isinstance(body, io.BytesIO) else len(body or b"")
            request.headers["Content-Length"] = str(size)
        request.body = t.cast(t.Any, body)
        answer = self._adapter.send(
            self._auth(request), stream=stream, timeout=timeout, verify=self._verify, proxies=self._proxies
        )
        if not stream:
            answer.content  # noqa: B018  # read now, so that the connection is free for the next
        return answer


def refused_credentials(connection: Connection, body: t.Any, verb: str, path: str) -> StatusError:
    """The exception for a 401, which says of a token that tells its own end when that was."""
    if connection.source is not None:
        said = "the cluster does not know the credentials that %s gives (401 Unauthorized)"
        return StatusError(401, "Unauthorized", said % connection.source.title())
    ended = _expiry(bearer(connection, None))
    if ended is None or ended > time.time():
        return status_error(401, body, verb, path)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ended))
    return StatusError(
        401,
        "Unauthorized",
        "the token has expired at %s (401 Unauthorized): check api_key, or the user in kubeconfig" % when,
    )


def _expiry(token: str | None) -> float | None:
    """When a token ends, as far as it tells."""
    try:
        return float(token_claims(token)["exp"])
    except (ValueError, TypeError, KeyError):
        return None


def token_claims(token: t.Any) -> dict[str, t.Any]:
    """What a token says of itself, as far as it is a JSON web token (RFC 7519). Its signature is not looked
    at.
    """
    parts = str(token or "").split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def innermost(problem: BaseException) -> str:
    """The operating system's or OpenSSL's own words, from below the wrapping."""
    seen: BaseException = problem
    for _depth in range(8):
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((a for a in getattr(seen, "args", ()) if isinstance(a, BaseException)), None)
        inner = inner or seen.__cause__ or seen.__context__
        if inner is None or inner is seen:
            break
        seen = inner
    return str(getattr(seen, "strerror", None) or seen)


def is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ssl_context(connection: Connection, held: credentials.Credential | None = None) -> ssl.SSLContext:
    """Whom to trust, and the client certificate: the one of ``held`` (as for ``bearer``) before the
    connection's own.
    """
    context = trust(connection.ca, connection.origin)
    if not connection.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if held is not None and held.certificate and held.key:
        _load_client_cert(context, held.certificate, held.key, "clientCertificateData", connection.origin)
    elif connection.client_cert and connection.client_key:
        own = (connection.client_cert, connection.client_key)
        _load_client_cert(context, *own, "client_cert, client_key", connection.origin)
    return context


def trust(ca: str | None, origin: str) -> ssl.SSLContext:
    """That an authority has signed whom we speak to: one of PEM text, else one of the system's."""
    try:
        return ssl.create_default_context(cadata=ca or None)
    except (ssl.SSLError, ValueError):
        raise TrustError("ca_cert: no certificate of an authority in it (from %s)" % origin) from None


def _load_client_cert(context: ssl.SSLContext, certificate: str, key: str, what: str, origin: str) -> None:
    """Python loads a key from a file only: it lies in one that nobody else may read, for as long as that
    takes.
    """
    handle, path = tempfile.mkstemp(prefix="navarch-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write("%s\n%s\n" % (certificate, key))
        context.load_cert_chain(path)
    except (ssl.SSLError, ValueError):
        raise TrustError("%s: not a certificate and its own key in PEM (from %s)" % (what, origin)) from None
    finally:
        os.unlink(path)
