# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials from a program that a kubeconfig names: a program of our own, run as kubectl would run it."""

from __future__ import annotations

import base64
import json
import sys
import time

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api import client as client_module
from ansible_collections.navarch.cluster.plugins.module_utils._api import credentials
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import POD, Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import (
    ClusterError,
    OptionError,
    StatusError,
)
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import connect_params, secrets

GROUP = "client.authentication.k8s.io/"
OBJECT = {"kind": "Pod", "metadata": {"name": "web"}}
#: Writes down what it was given, and prints the next of its answers. The last one repeats.
PROGRAM = """#!%s
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
with open(folder + "/runs", "a") as file:
    told = {key: os.environ.get(key) for key in ("KUBERNETES_EXEC_INFO", "REGION")}
    file.write(json.dumps(dict(told, args=sys.argv[1:])) + "\\n")
with open(folder + "/answers") as file:
    answers = json.load(file)
number = len(open(folder + "/runs").readlines()) - 1
answer = answers[min(number, len(answers) - 1)]
if isinstance(answer, str):
    print(answer, file=sys.stderr)
    sys.exit(3)
print(json.dumps(answer))
"""


def answer(version="v1", **status):
    return {"apiVersion": GROUP + version, "kind": "ExecCredential", "status": status}


@pytest.fixture(autouse=True)
def empty():
    credentials._held.clear()


@pytest.fixture
def program(tmp_path):
    """program(answer, ...): the ``exec`` of a kubeconfig; ``program.runs()`` says how it was run."""
    path = tmp_path / "bin" / "login"
    path.parent.mkdir()
    path.write_text(PROGRAM % sys.executable)
    path.chmod(0o755)

    def make(*answers, **more):
        (path.parent / "answers").write_text(json.dumps(answers))
        return dict({"apiVersion": GROUP + "v1", "command": str(path), "interactiveMode": "Never"}, **more)

    make.runs = lambda: [json.loads(line) for line in (path.parent / "runs").read_text().splitlines()]
    make.path = path
    return make


def kubeconfig(server, run, **cluster):
    return {
        "clusters": [{"name": "a", "cluster": dict({"server": server}, **cluster)}],
        "users": [{"name": "a", "user": {"exec": run}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }


@pytest.fixture
def make(serve, monkeypatch):
    monkeypatch.setattr(client_module, "_pause", lambda attempt, retry_after: 0.001)

    def make(run, *script, **options):
        server = serve(*script)
        return Client.from_params(dict({"kubeconfig": kubeconfig(server, run)}, **options))

    return make


def bearers(serve):
    return [headers.get("Authorization") for _verb, _path, _body, headers in serve.asked]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_token_is_sent_and_the_program_runs_once(make, serve, program, version):
    run = program(
        answer(version, token="T-1"),
        apiVersion=GROUP + version,
        args=["get", "token"],
        env=[{"name": "REGION", "value": "north"}],
    )
    client = make(run, (200, OBJECT))
    client.get(POD, "default", "web")
    client.get(POD, "default", "web")
    assert bearers(serve) == ["Bearer T-1"] * 2
    (once,) = program.runs()
    assert (once["args"], once["REGION"]) == (["get", "token"], "north")
    assert json.loads(once["KUBERNETES_EXEC_INFO"]) == {
        "apiVersion": GROUP + version,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }


def test_the_program_is_told_of_the_cluster_where_it_wants_that(serve, program):
    server = serve((200, OBJECT))
    run = program(answer(token="T"), provideClusterInfo=True)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "shop"}}
    cluster = {"extensions": [extension], "tls-server-name": "master", "insecure-skip-tls-verify": True}
    Client.from_params({"kubeconfig": kubeconfig(server, run, **cluster)}).get(POD, "default", "web")
    told = json.loads(program.runs()[0]["KUBERNETES_EXEC_INFO"])["spec"]["cluster"]
    assert told == {
        "server": server,
        "tls-server-name": "master",
        "insecure-skip-tls-verify": True,
        "config": {"audience": "shop"},
    }


def test_the_program_is_told_the_authority(program):
    run = program(answer(token="T"), provideClusterInfo=True)
    ca = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
    connection = connect_params(
        {"kubeconfig": kubeconfig("https://a:1", run, **{"certificate-authority-data": ca})}, {}
    )
    credentials.current(connection)
    told = json.loads(program.runs()[0]["KUBERNETES_EXEC_INFO"])["spec"]["cluster"]
    assert told == {"server": "https://a:1", "certificate-authority-data": ca}


def test_a_token_that_is_refused_is_got_again_once(make, serve, program):
    refused = (401, {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "no"})
    client = make(program(answer(token="old"), answer(token="new")), refused, (200, OBJECT))
    assert client.create(POD, "default", OBJECT) == OBJECT  # a POST too: nothing was done
    assert bearers(serve) == ["Bearer old", "Bearer new"]
    client = make(program(answer(token="bad")), refused)
    with pytest.raises(StatusError, match=r"credentials that the credential plugin .*login gives \(401"):
        client.get(POD, "default", "web")
    assert len(serve.asked) == 2


def test_a_token_that_ends_is_got_again_before_it_is_refused(make, serve, program):
    def until(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

    run = program(
        answer(token="short", expirationTimestamp=until(5)),
        answer(token="long", expirationTimestamp=until(3600)),
    )
    client = make(run, (200, OBJECT))
    for _time in range(3):
        client.get(POD, "default", "web")
    assert bearers(serve) == ["Bearer short", "Bearer long", "Bearer long"]


def test_a_command_with_a_folder_starts_at_the_kubeconfig_and_others_are_looked_for(
    serve, program, tmp_path, monkeypatch
):
    path = tmp_path / "config"
    path.write_text(
        json.dumps(kubeconfig(serve((200, OBJECT)), program(answer(token="T"), command="bin/login")))
    )
    Client.from_params({"kubeconfig": str(path)}).get(POD, "default", "web")
    credentials._held.clear()
    monkeypatch.setenv("PATH", "%s:/usr/bin:/bin" % program.path.parent)
    path.write_text(json.dumps(kubeconfig(serve((200, OBJECT)), program(answer(token="T"), command="login"))))
    Client.from_params({"kubeconfig": str(path)}).get(POD, "default", "web")
    assert len(program.runs()) == 2


def test_who_the_options_name_needs_no_program(make, serve, program):
    client = make(program("must not run"), (200, OBJECT), api_key="K")
    client.get(POD, "default", "web")
    assert bearers(serve) == ["Bearer K"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("no such profile", "it ended with exit code 3: no such profile"),
        ({"kind": "Other"}, "what it answers is no ExecCredential in JSON"),
        (answer("v1beta1", token="T"), "it answers in version %sv1beta1, and the kubeconfig says" % GROUP),
        (answer(), "its answer has neither a token nor a certificate with its key"),
        (answer(clientCertificateData="C"), "its answer has only one of certificate and key"),
        (answer(token="a\nb"), "its answer has a token with characters"),
        (answer(token="T", expirationTimestamp="soon"), "its answer has an expirationTimestamp"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(make, program, given, line):
    client = make(program(given), (200, OBJECT))
    with pytest.raises(ClusterError) as told:
        client.get(POD, "default", "web")
    assert str(told.value).startswith("kubeconfig, user a: credential plugin %s: " % program.path)
    assert line in str(told.value)
    assert "\n" not in str(told.value)


def test_a_program_that_is_not_there_comes_with_the_hint(make, program):
    client = make(program(command="no-such-login", installHint="Get it from\n  the shop."), (200, OBJECT))
    with pytest.raises(
        ClusterError, match=r"no-such-login: there is no such program. Get it from the shop.$"
    ):
        client.get(POD, "default", "web")


def test_a_program_that_must_ask_somebody_says_so(make, program, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    client = make(program(answer(token="T"), interactiveMode="Always"), (200, OBJECT))
    with pytest.raises(ClusterError, match=r"interactiveMode: Always.*no terminal"):
        client.get(POD, "default", "web")


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"apiVersion": GROUP + "v1alpha1"}, "exec.apiVersion: must be"),
        ({"command": None}, "exec.command: must name a program"),
        ({"interactiveMode": None}, "exec.interactiveMode: must be one of Never, IfAvailable, Always"),
        ({"args": "x"}, "exec.args: must be a list"),
        ({"env": {"A": "b"}}, "exec.env: must be a list of name and value"),
    ],
)
def test_mistakes_in_the_kubeconfig(program, wrong, line):
    with pytest.raises(OptionError) as told:
        connect_params({"kubeconfig": kubeconfig("https://a:1", program(**wrong))}, {})
    assert str(told.value).startswith("kubeconfig, user a: " + line)


def test_what_the_program_gets_in_its_environment_is_not_shown(program):
    run = program(env=[{"name": "KEY_ID", "value": "a-long-secret"}, {"name": "A", "value": "b"}])
    given = {"kubeconfig": kubeconfig("https://a:1", run)}
    assert "a-long-secret" in secrets(given)
    assert "b" not in secrets(given)
    assert "a-long-secret" not in repr(connect_params(given, {}))
