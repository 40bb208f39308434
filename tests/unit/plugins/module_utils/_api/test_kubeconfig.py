# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cluster and the identity come from where the user said, and mistakes name the place."""

from __future__ import annotations

import base64
import json

import pytest
import yaml
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import (
    connect_params,
    secrets,
    shown,
)

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def config(server="https://a:1", user=None, cluster=None, name="a"):
    return {
        "clusters": [{"name": name, "cluster": dict({"server": server}, **(cluster or {}))}],
        "users": [{"name": name, "user": user or {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def write(content, name="config"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return str(path)

    return write


def test_data_in_the_file(write):
    path = write(
        config(
            cluster={"certificate-authority-data": b64(PEM), "tls-server-name": "master"},
            user={"client-certificate-data": b64("cert"), "client-key-data": b64("key")},
        )
    )
    made = connect_params({"kubeconfig": path}, {})
    assert (made.server, made.ca, made.client_cert, made.client_key) == ("https://a:1", PEM, "cert", "key")
    assert (made.verify, made.server_name) == (True, "master")
    assert "key" not in repr(made).replace(path, "")


def test_files_beside_the_file(write):
    write(PEM, "ca.crt")
    write("secret\n", "token")
    path = write(config(cluster={"certificate-authority": "ca.crt"}, user={"tokenFile": "token"}))
    made = connect_params({"kubeconfig": path}, {})
    assert made.ca == PEM
    assert made.token_file.endswith("/token")
    assert made.token is None


def test_environment_lists_several_files_and_the_first_wins(write):
    first = write(config("https://first:1", {"token": "1"}), "1")
    second = write(
        dict(config("https://second:1", {"token": "2"}, name="b"), **{"current-context": "b"}), "2"
    )
    env = {"KUBECONFIG": first + ":" + second}
    assert connect_params({}, env).server == "https://first:1"
    assert connect_params({"context": "b"}, env).server == "https://second:1"
    assert connect_params({"kubeconfig": second}, env).server == "https://second:1"


def test_content_instead_of_a_file(write):
    content = config(user={"token": "t"})
    assert connect_params({"kubeconfig": content}, {}).token == "t"
    for text in (json.dumps(content), yaml.safe_dump(content), "\n  " + json.dumps(content, indent=1)):
        assert connect_params({"kubeconfig": text}, {}).token == "t"


@pytest.mark.parametrize("form", [dict, json.dumps, yaml.safe_dump])
def test_content_is_not_shown(form):
    user = {"token": "t0ken", "password": "pa55", "client-key-data": "a2V5", "tokenFile": "/path"}
    user["auth-provider"] = {"config": {"id-token": "1d", "name": "n"}}
    given = {"kubeconfig": form(config(user=user)), "name": "x"}
    found = secrets(given)
    assert {"t0ken", "pa55", "a2V5", "1d"} <= found
    assert not {"/path", "n"} & found
    assert shown(given) == {"kubeconfig": "(the content of a kubeconfig)", "name": "x"}
    assert shown({"kubeconfig": "/path"}) == {"kubeconfig": "/path"}
    assert secrets({"kubeconfig": "/path"}) == set()


def test_content_that_cannot_be_read_is_not_shown_either():
    given = {"kubeconfig": "users:\n- user: {token: t0ken-1234\n"}
    with pytest.raises(OptionError) as told:
        connect_params(given, {})
    assert str(told.value).startswith("kubeconfig: not YAML at line")
    assert "t0ken" not in str(told.value)
    assert "t0ken-1234" in secrets(given)


def test_options_win(write):
    path = write(config(cluster={"insecure-skip-tls-verify": True}, user={"token": "t"}))
    assert connect_params({"kubeconfig": path}, {}).verify is False
    made = connect_params(
        {"kubeconfig": path, "host": "b:2", "api_key": "k", "validate_certs": True, "ca_cert": PEM}, {}
    )
    assert (made.server, made.token, made.verify, made.ca, made.origin) == (
        "https://b:2",
        "k",
        True,
        PEM,
        "host",
    )


def test_a_token_that_is_given_is_the_only_identity(write):
    path = write(config(user={"client-certificate-data": b64("c"), "client-key-data": b64("k")}))
    made = connect_params({"kubeconfig": path, "api_key": "t"}, {})
    assert (made.token, made.client_cert, made.client_key) == ("t", None, None)


ACTING = {
    "token": "t",
    "as": "jane",
    "as-uid": "7",
    "as-groups": ["a", "b"],
    "as-user-extra": {"example.org/x%": ["1", "2"]},
}


def test_acting_as_somebody_else(write):
    path = write(config(user=ACTING))
    assert connect_params({"kubeconfig": path}, {}).impersonate == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-example.org%2Fx%25", "1"),
        ("Impersonate-Extra-example.org%2Fx%25", "2"),
    )
    # Who is named by an option is not the kubeconfig's user.
    assert connect_params({"kubeconfig": path, "api_key": "t"}, {}).impersonate == ()


@pytest.mark.parametrize(
    ("params", "line"),
    [
        (
            {"kubeconfig": config(user={"as-groups": ["a"]})},
            "kubeconfig, user a: as-uid, as-groups and as-user-extra want an as",
        ),
        (
            {"kubeconfig": config(user={"as": "a", "as-groups": "b"})},
            "kubeconfig, user a: as-groups is not a list",
        ),
        ({"kubeconfig": config(user={"as": "a\nX: y"})}, "kubeconfig, user a: as, as-uid, as-groups or"),
        ({}, "kubeconfig: no cluster is named"),
        ({"kubeconfig": "/not/there"}, "kubeconfig: there is no file /not/there"),
        ({"kubeconfig": {}}, "context: kubeconfig has no current-context; it has none"),
        ({"kubeconfig": config(), "context": "z"}, "context: no context z in kubeconfig; there: a"),
        (
            {"kubeconfig": config(user={"exec": {"command": "x"}, "auth-provider": {"name": "oidc"}})},
            "kubeconfig: user a has both exec and auth-provider",
        ),
        (
            {"kubeconfig": config(server="ftp://x")},
            "kubeconfig, cluster a: 'ftp://x' is not the address of a cluster",
        ),
        (
            {"kubeconfig": config(cluster={"certificate-authority-data": "é"})},
            "kubeconfig: certificate-authority-data is not base64",
        ),
        ({"host": "https://x", "ca_cert": "/not/there"}, "ca_cert: cannot read /not/there: No such file"),
        ({"host": "https://x", "client_cert": PEM}, "client_key: client_cert and client_key belong together"),
        ({"kubeconfig": dict(config(), clusters="x")}, "kubeconfig: clusters is not a list"),
    ],
)
def test_mistakes(write, params, line):
    with pytest.raises(OptionError) as told:
        connect_params(params, {})
    assert str(told.value).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"), [("a: [", "not YAML at line"), ("- 1", "not a kubeconfig"), ("", "not a kubeconfig")]
)
def test_files_that_are_none(write, text, line):
    path = write(text)
    with pytest.raises(OptionError) as told:
        connect_params({"kubeconfig": path}, {})
    assert str(told.value).startswith("kubeconfig %s: %s" % (path, line))
