# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The client against a real server: what it sends, what it repeats, and how it tells failures apart."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api import client as client_module
from ansible_collections.navarch.cluster.plugins.module_utils._api import transport
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import NODE, POD, Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import (
    ClusterError,
    MaybeDone,
    OptionError,
    StatusError,
    TrustError,
    UnreachableError,
)

PAUSE = client_module._pause
OBJECT = {"kind": "Pod", "metadata": {"name": "web"}}


def status(code, reason, message="said", **details):
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}


@pytest.fixture
def make(serve, monkeypatch):
    monkeypatch.setattr(client_module, "_pause", lambda attempt, retry_after: 0.001)
    monkeypatch.delenv("KUBECONFIG", raising=False)

    def make(*script, dry_run=False, **params):
        return Client.from_params(dict({"host": serve(*script), "api_key": "T"}, **params), dry_run=dry_run)

    return make


def test_get_sends_the_token_and_finds_nothing_as_none(make, serve):
    client = make(status(404, "NotFound"))
    assert client.get(POD, "default", "web") is None
    verb, path, _body, headers = serve.asked[0]
    assert (verb, path, headers["Authorization"]) == (
        "GET",
        "/api/v1/namespaces/default/pods/web",
        "Bearer T",
    )


def test_netrc_does_not_override_the_token(make, serve, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transport, "is_loopback", lambda server: False)  # for which nothing of this is read
    make((200, OBJECT)).get(POD, "default", "web")
    assert serve.asked[0][3]["Authorization"] == "Bearer T"


def test_loopback_is_not_asked_for_through_a_proxy(make, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert make((200, OBJECT)).get(POD, "default", "web") == OBJECT
    with pytest.raises(UnreachableError, match=r"^proxy: cannot reach"):
        make((200, OBJECT), proxy="http://127.0.0.1:1").get(POD, "default", "web")


def test_lists_come_in_pieces(make, serve):
    client = make(
        (
            200,
            {
                "items": [{"metadata": {"name": "a"}}],
                "metadata": {"continue": "more", "resourceVersion": "7"},
            },
        ),
        (200, {"items": [{"metadata": {"name": "b"}}], "metadata": {"resourceVersion": "7"}}),
    )
    items, version = client.list(NODE, labels=["a=b", "!c"], fields=["x=y"])
    assert [(i["kind"], i["metadata"]["name"]) for i in items] == [("Node", "a"), ("Node", "b")]
    assert version == "7"
    assert "labelSelector=a%3Db%2C%21c" in serve.asked[0][1]
    assert "fieldSelector=x%3Dy" in serve.asked[0][1]
    assert "continue=more" in serve.asked[1][1]


def test_a_list_that_grows_too_old_between_its_pieces_is_read_anew(make, serve):
    page = {"metadata": {"continue": "next"}, "items": [{"metadata": {"name": "a"}}]}
    whole = {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": name}} for name in "ab"]}
    expired = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    items, version = make((200, page), (410, expired), (200, whole)).list(POD, "default")
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert version == "9"
    assert "limit" not in serve.asked[-1][1]


@pytest.mark.parametrize("name", ["", ".", "..", None])
def test_no_name_becomes_a_collection(make, serve, name):
    client = make((200, {"items": []}))
    for verb in (
        lambda: client.get(NODE, None, name),
        lambda: client.delete(POD, "default", name),
        lambda: client.patch(POD, "default", name, {}),
        lambda: client.text(POD, "default", name, "log", {}),
    ):
        with pytest.raises(OptionError, match=r"^name: "):
            verb()
    with pytest.raises(OptionError, match=r"^namespace: .* is no name"):
        client.delete(POD, "..", "web")
    assert serve.asked == []


@pytest.mark.parametrize(
    "trouble", [status(503, "ServiceUnavailable"), status(429, "TooManyRequests"), "break"]
)
def test_idempotent_verbs_are_repeated(make, serve, trouble):
    assert make(trouble, trouble, (200, OBJECT)).get(POD, "default", "web") == OBJECT
    assert len(serve.asked) >= 3


def test_a_create_is_repeated_only_where_nothing_was_done(make, serve):
    assert make(status(429, "TooManyRequests"), (201, OBJECT)).create(POD, "default", OBJECT) == OBJECT
    with pytest.raises(StatusError, match="503"):
        make(status(503, "ServiceUnavailable"), (201, OBJECT)).create(POD, "default", OBJECT)
    assert len(serve.asked) == 1
    with pytest.raises(UnreachableError, match="whether it acted is not known"):
        make("break", (201, OBJECT)).create(POD, "default", OBJECT)
    assert len(serve.asked) == 1


def test_tries_are_bounded(make, serve):
    with pytest.raises(StatusError, match="503"):
        make(status(503, "ServiceUnavailable")).get(POD, "default", "web")
    assert len(serve.asked) == client_module.TRIES


def test_check_mode_only_tries_its_writes(make, serve):
    client = make((200, OBJECT), dry_run=True)
    client.create(POD, "default", OBJECT)
    client.patch(POD, "default", "web", {})
    client.delete(POD, "default", "web", grace=0, uid="u")
    assert all(path.endswith("?dryRun=All") for _verb, path, _body, _headers in serve.asked)
    assert serve.asked[2][2]["preconditions"] == {"uid": "u"}
    assert serve.asked[2][2]["gracePeriodSeconds"] == 0
    assert serve.asked[1][3]["Content-Type"] == "application/strategic-merge-patch+json"


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            status(401, "Unauthorized"),
            "the cluster does not know these credentials (401 Unauthorized): check api_key",
        ),
        (
            status(403, "Forbidden", 'pods "web" is forbidden: User "x" cannot create resource "pods"'),
            'these credentials may not do this (403 Forbidden): pods "web"',
        ),
        (
            status(403, "Forbidden", 'pods "web" is forbidden: namespace x is being terminated'),
            'the cluster refuses this (403 Forbidden): pods "web" is forbidden: namespace x is being',
        ),
        (status(409, "AlreadyExists", "exists"), "conflict (409 AlreadyExists): exists"),
        (
            status(400, "BadRequest", "two\nlines"),
            "the cluster refuses the request (400 BadRequest): two lines",
        ),
        (
            (404, "404 page not found"),
            "the cluster has no such API (404 at POST /api/v1/namespaces/default/pods)",
        ),
        (status(404, "NotFound", 'pods "x" not found'), 'not found: pods "x" not found'),
        (status(404, "NotFound", "no x", kind="namespaces"), "namespace: no x"),
        ((502, "<html>bad gateway</html>"), "the cluster answered 502"),
        (
            status(
                422,
                "Invalid",
                causes=[{"field": "spec.containers[0].imagePullPolicy", "message": 'Unsupported value: "x"'}],
            ),
            'invalid (422): containers[0].image_pull_policy: Unsupported value: "x"',
        ),
        ((302, "", ("Location", "http://127.0.0.1:1/")), "the cluster answered 302"),
    ],
)
def test_what_the_api_says_in_one_line(make, answer, line):
    with pytest.raises(StatusError) as told:
        make(answer).create(POD, "default", OBJECT)
    assert str(told.value).startswith(line)
    assert "\n" not in str(told.value)


def test_no_api_at_all(make):
    with pytest.raises(ClusterError, match="with something that is no API object"):
        make((200, "<html>")).create(POD, "default", OBJECT)


def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = "http://127.0.0.1:%d" % taken.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(
            UnreachableError,
            match=r"cannot reach the cluster at %s \(from host\): Connection refused" % address,
        ):
            Client.from_params({"host": address}).get(POD, "default", "web")
        assert time.monotonic() - began < client_module.CONNECT_SECONDS


def test_a_watch_yields_until_the_server_ends_it(make, serve):
    event = {"type": "ADDED", "object": OBJECT}
    events = list(
        make((200, [event, event])).watch(
            POD, "default", "5", time.monotonic() + 3, fields=["metadata.name=web"]
        )
    )
    assert events == [("ADDED", OBJECT)] * 2
    assert "watch=true" in serve.asked[0][1]
    assert "resourceVersion=5" in serve.asked[0][1]


def test_a_watch_that_is_too_old_says_so(make):
    gone = {
        "type": "ERROR",
        "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"},
    }
    with pytest.raises(StatusError) as told:
        list(make((200, [gone])).watch(POD, "default", "1", time.monotonic() + 3))
    assert told.value.code == 410


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """Two self-signed certificates for 127.0.0.1, and one for another name."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program")
    made = {}
    for name, san in (("ours", "IP:127.0.0.1"), ("theirs", "IP:127.0.0.1"), ("named", "DNS:master")):
        folder = tmp_path_factory.mktemp(name)
        key, cert = folder / "key", folder / "cert"
        subprocess.run(
            [
                openssl,
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=" + name,
                "-addext",
                "subjectAltName=" + san,
                "-keyout",
                str(key),
                "-out",
                str(cert),
            ],
            check=True,
            capture_output=True,
        )
        both = folder / "both"
        both.write_text(cert.read_text() + key.read_text())
        made[name] = (cert.read_text(), str(both))
    return made


def test_tls_trusts_the_named_authority_and_no_other(serve, authorities, monkeypatch, tmp_path):
    ours, theirs = authorities["ours"], authorities["theirs"]
    bundle = tmp_path / "bundle"
    bundle.write_text(ours[0])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))  # must not matter where the task names its own
    address = serve((200, OBJECT), certificate=ours[1])
    assert Client.from_params({"host": address, "ca_cert": ours[0]}).get(POD, "default", "web") == OBJECT
    assert Client.from_params({"host": address, "validate_certs": False}).get(POD, "default", "web") == OBJECT
    with pytest.raises(TrustError, match=r"^ca_cert: .* does not prove to be the cluster of host: self"):
        Client.from_params({"host": address, "ca_cert": theirs[0]}).get(POD, "default", "web")


def test_tls_wants_the_right_name(serve, authorities):
    certificate = authorities["named"]
    address = serve((200, OBJECT), certificate=certificate[1])
    with pytest.raises(TrustError, match="IP address mismatch"):
        Client.from_params({"host": address, "ca_cert": certificate[0]}).get(POD, "default", "web")
    named = {
        "clusters": [{"name": "c", "cluster": {"server": address, "tls-server-name": "master"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "current-context": "c",
    }
    assert (
        Client.from_params({"kubeconfig": named, "ca_cert": certificate[0]}).get(POD, "default", "web")
        == OBJECT
    )


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"ca_cert": "-----BEGIN NOTHING"}, "ca_cert: no certificate of an authority in it"),
        (
            {"client_cert": "-----BEGIN x", "client_key": "-----BEGIN y"},
            "client_cert, client_key: not a certificate",
        ),
    ],
)
def test_certificates_that_are_none(params, line):
    with pytest.raises(TrustError) as told:
        Client.from_params(dict(params, host="https://127.0.0.1:1"))
    assert str(told.value).startswith(line)


@pytest.fixture
def refused():
    """An address at which nothing listens until ``listen`` is called, which then answers every request."""
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        address = "http://127.0.0.1:%d" % taken.getsockname()[1]

        def listen(after):
            def serve():
                time.sleep(after)
                taken.listen()
                with taken.accept()[0] as peer:
                    peer.recv(65536)
                    body = json.dumps(OBJECT).encode()
                    peer.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            stack.callback(thread.join, 10)

        yield address, listen


def test_a_task_that_waits_rides_over_a_cluster_that_is_away(refused):
    address, listen = refused
    listen(after=2.5)  # longer than a task that does not wait tries
    client = Client.from_params({"host": address, "wait": True, "wait_timeout": 20})
    assert client.create(POD, "default", OBJECT) == OBJECT


def test_a_task_that_does_not_wait_tries_a_cluster_that_restarts_for_a_moment(refused):
    address, listen = refused
    listen(after=0.4)
    assert Client.from_params({"host": address}).create(POD, "default", OBJECT) == OBJECT


def test_patience_ends_with_the_time_of_the_task(refused):
    address, _listen = refused
    client = Client.from_params({"host": address, "wait": True, "wait_timeout": 3})
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="Connection refused"):
        client.get(POD, "default", "web")
    assert 2.9 <= time.monotonic() - began < 8


def test_a_name_that_does_not_exist_is_no_matter_of_patience():
    client = Client.from_params({"host": "https://no.such.invalid:1", "wait": True, "wait_timeout": 60})
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        client.get(POD, "default", "web")
    assert time.monotonic() - began < 30


def test_what_may_have_been_done_is_not_sent_again_blindly(make, serve):
    client = make("break", (201, OBJECT))
    client.begin({"wait": True, "wait_timeout": 30})
    with pytest.raises(MaybeDone):
        client.create(POD, "default", OBJECT)
    assert len(serve.asked) == 1
    client = make("break", (200, OBJECT))
    assert client.create(POD, "default", OBJECT, repeatable=True) == OBJECT


def test_a_busy_cluster_says_when_to_ask_again(make, serve, monkeypatch):
    later = ("Retry-After", "1")
    busy = (*status(503, "ServiceUnavailable"), later)
    assert make(busy, (201, OBJECT)).create(POD, "default", OBJECT) == OBJECT
    monkeypatch.setattr(client_module, "_pause", PAUSE)
    began = time.monotonic()
    assert make((*status(429, "TooManyRequests"), later), (201, OBJECT)).create(POD, "default", OBJECT)
    assert time.monotonic() - began >= 1


def test_a_disruption_budget_is_left_to_who_asked(make, serve):
    budget = status(429, "TooManyRequests", causes=[{"reason": "DisruptionBudget", "message": "no"}])
    client = make(budget)
    client.begin({"wait": True, "wait_timeout": 60})
    with pytest.raises(StatusError, match="429"):
        client.create(POD, "default", OBJECT, "eviction", "web", repeatable=True)
    assert len(serve.asked) == 1


def test_what_the_api_warns_of_is_kept_for_the_task(make, serve):
    header = ("Warning", '299 - "unknown field \\"spec.a\\"", 299 - "and b"')
    client = make((201, OBJECT, header))
    client.create(POD, "default", OBJECT)
    client.trial().create(POD, "default", OBJECT)
    assert client.warnings == ['unknown field "spec.a"', "and b"]
    assert serve.asked[1][1].endswith("?dryRun=All")
    client.begin({})
    assert client.warnings == []
