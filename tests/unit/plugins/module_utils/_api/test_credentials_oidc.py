# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials from an OpenID provider: one of our own on loopback, which holds us to the specifications
(OpenID Connect Core 1.0, section 12; Discovery 1.0, section 4; RFC 6749, sections 2.3.1 and 6).
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote_plus

import pytest
import yaml
from ansible_collections.navarch.cluster.plugins.module_utils._api import credentials, transport
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError, OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import connect_params

CLIENT, SECRET = "navarch shop", "s3cr:et/+"


class Provider(BaseHTTPRequestHandler):
    """What the specifications ask of a provider: discovery, and a token endpoint that refreshes."""

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin  # the base class names it so
        pass

    def do_GET(self):
        assert self.path == "/realms/shop/.well-known/openid-configuration"
        server = self.server
        self.say(
            200,
            {
                "issuer": server.called or server.issuer,
                "authorization_endpoint": server.issuer + "/auth",
                "token_endpoint": server.issuer + "/token",
                "jwks_uri": server.issuer + "/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                **({"token_endpoint_auth_methods_supported": server.ways} if server.ways else {}),
            },
        )

    def do_POST(self):
        server = self.server
        assert self.path == "/realms/shop/token"
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        given = {
            key: value
            for key, (value,) in parse_qs(
                self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True
            ).items()
        }
        with server.lock:
            server.asked.append((dict(given), self.headers.get("Authorization")))
            if not self.is_client(given):
                return self.say(401, {"error": "invalid_client"})
            if given.get("grant_type") != "refresh_token" or given.get("refresh_token") != server.refresh:
                return self.say(
                    400, {"error": "invalid_grant", "error_description": "the refresh token is used"}
                )
            made = {"access_token": "A", "token_type": "Bearer", "expires_in": 300}
            if server.gives_id:
                server.count += 1
                made["id_token"] = id_token(server.issuer, server.lasts, number=server.count)
            if server.rotates:
                server.refresh = made["refresh_token"] = "refresh-%d" % (server.count + 1)
            return self.say(200, made)

    def is_client(self, given):
        """RFC 6749, 2.3.1: in the header, both encoded as in a form, or both in the body, never in both."""
        server, header = self.server, self.headers.get("Authorization")
        if server.ways == ["none"]:
            return header is None and given.get("client_id") == CLIENT and "client_secret" not in given
        if server.ways == ["client_secret_post"]:
            return header is None and (given.get("client_id"), given.get("client_secret")) == (CLIENT, SECRET)
        kind, _space, pair = (header or "").partition(" ")
        found = base64.b64decode(pair).decode().split(":")
        return kind == "Basic" and [unquote_plus(part) for part in found] == [CLIENT, SECRET]

    def say(self, code, content):
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def id_token(issuer, seconds, **more):
    """The required claims of an ID token (Core, section 2)."""
    now = int(time.time())
    claims = {"iss": issuer, "sub": "me", "aud": CLIENT, "exp": now + seconds, "iat": now, **more}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)] + [b"signature"]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.fixture(autouse=True)
def empty():
    credentials._held.clear()


@pytest.fixture
def provider():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    server.lock = threading.Lock()
    server.issuer = "http://127.0.0.1:%d/realms/shop" % server.server_port
    server.asked, server.count, server.refresh, server.rotates = [], 0, "refresh-1", False
    server.ways, server.called, server.gives_id, server.lasts = None, None, True, 3600
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def kubeconfig(issuer, **config):
    given = {"idp-issuer-url": issuer, "client-id": CLIENT, "client-secret": SECRET, **config}
    given = {key: value for key, value in given.items() if value is not None}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": "https://a:1"}}],
        "users": [{"name": "me", "user": {"auth-provider": {"name": "oidc", "config": given}}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "me"}}],
        "current-context": "a",
        "preferences": {"colour": "grün"},
    }


@pytest.fixture
def write(tmp_path):
    path = tmp_path / "config"

    def write(content):
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        path.chmod(0o640)
        return str(path)

    return write


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def token_of(path):
    connection = connect_params({"kubeconfig": path}, {})
    return transport.bearer(connection, credentials.current(connection))


def test_a_token_that_lasts_is_used_as_it_is(provider, write):
    lasting = id_token(provider.issuer, 60)
    path = write(kubeconfig(provider.issuer, **{"id-token": lasting, "refresh-token": "refresh-1"}))
    assert token_of(path) == lasting
    assert provider.asked == []


@pytest.mark.parametrize("ways", [None, ["client_secret_basic"], ["client_secret_post"], ["none"]])
def test_a_token_that_has_ended_is_replaced_and_written(provider, write, ways):
    provider.ways = ways
    secret = None if ways == ["none"] else SECRET
    ended = id_token(provider.issuer, -60)
    content = kubeconfig(
        provider.issuer, **{"id-token": ended, "refresh-token": "refresh-1", "client-secret": secret}
    )
    path = write(content)
    token = token_of(path)
    assert transport.token_claims(token)["number"] == 1
    asked, _header = provider.asked[0]
    assert (asked["grant_type"], asked["refresh_token"]) == ("refresh_token", "refresh-1")
    written = yaml.safe_load(read(path))
    content["users"][0]["user"]["auth-provider"]["config"].update({"id-token": token})
    assert written == content
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert os.listdir(os.path.dirname(path)) == ["config"]
    credentials._held.clear()
    assert token_of(path) == token  # by the next process, which asks nobody
    assert len(provider.asked) == 1


def test_a_refresh_token_that_serves_once_is_written_too(provider, write):
    provider.rotates = True
    path = write(kubeconfig(provider.issuer, **{"refresh-token": "refresh-1"}))
    token_of(path)
    config = yaml.safe_load(read(path))["users"][0]["user"]["auth-provider"]["config"]
    assert config["refresh-token"] == provider.refresh == "refresh-2"


def test_a_refused_token_is_replaced_though_it_lasts(provider, write):
    path = write(
        kubeconfig(
            provider.issuer, **{"id-token": id_token(provider.issuer, 60), "refresh-token": "refresh-1"}
        )
    )
    connection = connect_params({"kubeconfig": path}, {})
    used = credentials.current(connection)
    assert credentials.renew(connection, used)
    assert credentials.current(connection).token != used.token
    assert len(provider.asked) == 1


def test_without_a_file_to_write_the_process_keeps_it(provider, monkeypatch):
    provider.rotates = True
    given = kubeconfig(provider.issuer, **{"refresh-token": "refresh-1"})
    connection = connect_params({"kubeconfig": given}, {})
    first = credentials.current(connection)
    assert credentials.current(connection) is first
    monkeypatch.setattr(credentials, "EARLY", provider.lasts + 1)  # which ends the first
    provider.lasts *= 3
    assert transport.token_claims(credentials.current(connection).token)["number"] == 2
    assert [asked["refresh_token"] for asked, _header in provider.asked] == ["refresh-1", "refresh-2"]


def test_a_kubeconfig_that_kubectl_holds_is_left_alone(provider, write, monkeypatch):
    monkeypatch.setattr(
        "ansible_collections.navarch.cluster.plugins.module_utils._api.credentials_oidc._LOCK_SECONDS", 0.1
    )
    path = write(kubeconfig(provider.issuer, **{"refresh-token": "refresh-1"}))
    before = read(path)
    with open(path + ".lock", "w", encoding="utf-8"):
        assert transport.token_claims(token_of(path))["number"] == 1
    assert read(path) == before
    assert os.path.exists(path + ".lock")


def _fetch(path, answers):
    answers.put(token_of(path))


def test_forks_share_one_refresh(provider, write):
    provider.rotates = True
    path = write(kubeconfig(provider.issuer, **{"refresh-token": "refresh-1"}))
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    forks = [fork.Process(target=_fetch, args=(path, answers)) for _number in range(4)]
    for one in forks:
        one.start()
    tokens = {answers.get(timeout=20) for _one in forks}
    for one in forks:
        one.join(20)
    assert len(tokens) == 1
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("change", "config", "line"),
    [
        ({"refresh": "other"}, {}, "it answers 400 invalid_grant: the refresh token is used"),
        ({"gives_id": False}, {}, "it gave no ID token that lasts (was scope openid asked for"),
        ({"called": "https://other"}, {}, "it calls itself 'https://other'"),
        ({}, {"client-secret": "wrong"}, "it answers 401 invalid_client"),
        ({}, {"refresh-token": None}, "the ID token has ended or is refused, and there is no refresh-token"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(provider, change, config, line):
    for name, value in change.items():
        setattr(provider, name, value)
    given = kubeconfig(provider.issuer, **{"refresh-token": "refresh-1", **config})
    with pytest.raises(ClusterError) as told:
        credentials.current(connect_params({"kubeconfig": given}, {}))
    said = str(told.value)
    assert said.startswith("kubeconfig, user me: the OpenID provider %s: %s" % (provider.issuer, line))
    assert SECRET not in said
    assert "refresh-1" not in said


def test_a_provider_that_is_away_is_said_in_a_line():
    given = kubeconfig("http://127.0.0.1:1", **{"refresh-token": "r"})
    with pytest.raises(ClusterError, match=r"OpenID provider http://127.0.0.1:1: cannot ask it: .*refused"):
        credentials.current(connect_params({"kubeconfig": given}, {}))


@pytest.mark.parametrize(
    ("provider_of", "line"),
    [
        ({"name": "gcp"}, "auth-provider gcp is none that Kubernetes still knows"),
        ({"name": "oidc", "config": {"client-id": "x"}}, "auth-provider oidc: idp-issuer-url is missing"),
        (
            {"name": "oidc", "config": {"client-id": "x", "idp-issuer-url": "http://a"}},
            "auth-provider oidc: idp-issuer-url must begin with https://",
        ),
    ],
)
def test_mistakes_in_the_kubeconfig(provider_of, line):
    given = kubeconfig("https://a")
    given["users"][0]["user"]["auth-provider"] = provider_of
    with pytest.raises(OptionError) as told:
        connect_params({"kubeconfig": given}, {})
    assert str(told.value).startswith("kubeconfig, user me: " + line)
