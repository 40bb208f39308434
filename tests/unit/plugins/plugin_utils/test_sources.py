# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sources of the inventory: each option wrong in turn is named, each is documented, no secret is told."""

from __future__ import annotations

import datetime
import json

import pytest
import yaml
from ansible_collections.navarch.cluster.plugins.doc_fragments.nodes_sources import ModuleDocFragment
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError
from ansible_collections.navarch.cluster.plugins.module_utils._cloud.machine import (
    secret_values,
    without_secrets,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils import sources

WRONG = {"int": "soon", "bool": "perhaps", "dict": 3, "list": {"a": 1}}
LEAST = {
    "gce": {"type": "gce", "projects": ["ship"], "access_token": "token-1"},
    "libcloud": {"type": "libcloud", "provider": "ec2"},
    "static": {"type": "static", "hosts": []},
    "cluster": {"type": "cluster"},
}


def told(options):
    """The one line that the options of a source end in, when they are checked or when it is asked."""
    try:
        (source,) = sources.checked([options], {})
        sources.fetch([source])
    except ClusterError as problem:
        return str(problem)
    return source.told() if source.problems else ""


@pytest.mark.parametrize("kind", sorted(sources.TYPES))
def test_each_option_wrong_in_turn(kind):
    spec = dict(sources.COMMON, **sources.TYPES[kind].spec())
    tried = [(name, WRONG[option["type"]]) for name, option in spec.items() if option["type"] in WRONG]
    tried += [(name, "nonsense") for name, option in spec.items() if option.get("choices")]
    for name, value in [*tried, ("nmae", 1)]:
        line = told(dict(LEAST[kind], **{name: value}))
        assert name in line, (name, line)
        assert "\n" not in line


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"type": "static", "hosts": [], "host": []},
            "sources[0] (static): host: there is no such option (did you mean hosts?)",
        ),
        ({"type": "cloud"}, "sources[0].type: must be one of cluster, gce, libcloud, static, not cloud"),
        ({"api_url": "compute"}, "api_url: compute is no address"),
        ({"api_url": "http://compute.example.org/v1"}, "api_url: must be https"),
        ({"resource_manager_url": "http://manager.example.org"}, "resource_manager_url: must be https"),
        ({"api_url": "http://[::1"}, "api_url: http://[::1 is no address"),
        ({"api_url": "http://127.0.0.1:x"}, "api_url: http://127.0.0.1:x is no address"),
        (
            {"access_token": None, "auth_kind": "accesstoken"},
            "access_token: is needed for auth_kind accesstoken",
        ),
        (
            {"type": "static", "hosts": [{"name": "x", "adress": "y"}]},
            "hosts[0].adress: there is no such option (did you mean address?)",
        ),
        ({"type": "static", "hosts": [{"variables": {}}]}, "hosts[0]: needs a name or an address"),
        ({"type": "static", "hosts": [{"name": "x", "variables": []}]}, ""),
        (
            {"type": "static", "hosts": [{"name": "x", "variables": 3}]},
            "hosts[0].variables: must be a mapping",
        ),
        ({"type": "static", "hosts": [3]}, "hosts[0]: must be an address"),
        ({"type": "static", "hosts": "- name: a\n- name: b\n"}, "is no address"),
        ({"type": "static", "hosts": '["a", "b"]'}, "is no address"),
        ({"type": "static", "hosts": "192.0.2.1, cellar"}, ""),
    ],
)
def test_wrong_values(options, line):
    whole = dict(LEAST["gce"], **options) if "type" not in options else options
    said = told(whole)
    assert line in said if line else not said


@pytest.mark.parametrize("on_error", ["fail", "warn"])
def test_what_nobody_thought_of_has_the_name_of_its_source(monkeypatch, on_error):
    def broken(options, problem):
        raise TypeError("'NoneType' object\nis not token-1 subscriptable")

    monkeypatch.setattr(sources.source_gce, "records", broken)
    given = [dict(LEAST["gce"], name="fleet", on_error=on_error), dict(LEAST["static"], hosts=["a"])]
    checked = sources.checked(given, {})
    assert [len(records) for records in sources.fetch(checked)] == [0, 1]
    line = "source fleet: TypeError: 'NoneType' object is not ******** subscriptable"
    assert (checked[0].told(), checked[0].failed) == (line, True)


@pytest.mark.parametrize("token", ["tok\nhushsecret", "tok\x00hushsecret", "\u201chushsecret\u201d"])
def test_a_token_that_cannot_be_sent_is_not_shown(token):
    line = told(dict(LEAST["gce"], access_token=token, api_url="http://127.0.0.1:1"))
    assert line == "source gce: access_token: holds characters that no token has"


def test_what_a_list_of_sources_may_be():
    for given, line in (([], "sources: must be"), ([3], "sources[0]: must be a mapping")):
        with pytest.raises(ClusterError) as caught:
            sources.checked(given, {})
        assert line in str(caught.value)
    static = LEAST["static"]
    assert [one.name for one in sources.checked([static, static], {})] == ["static", "static-2"]
    for given in (["static-2", None, None], [None, None, "static-2"], [None, "static", "static-1"]):
        names = [one.name for one in sources.checked([dict(static, name=name) for name in given], {})]
        assert len(set(names)) == 3
        assert all(wanted in (None, name) for wanted, name in zip(given, names, strict=True))
    with pytest.raises(ClusterError, match=r"sources\[1\].name: another source is called a"):
        sources.checked([dict(static, name="a"), dict(static, name="a")], {})


def test_secrets_are_in_no_key_and_no_line():
    contents = {"type": "service_account", "private_key": "----verysecret\n----", "client_email": "x"}
    options = {"type": "gce", "projects": ["ship"], "service_account_contents": json.dumps(contents)}
    (source,) = sources.checked([options], {})
    (same,) = sources.checked([dict(options, projects=["ship"])], {})
    (other,) = sources.checked([dict(options, projects=["boat"])], {})
    assert source.key == same.key != other.key
    others = json.dumps(dict(contents, private_key="----another\n----"))
    (renewed,) = sources.checked([dict(options, service_account_contents=others)], {})
    assert source.key != renewed.key, "another account's machines came from the cache"
    assert "verysecret" not in source.key
    source.problems = ["it said ----verysecret\n----"]
    assert "verysecret" not in source.told()
    source.problems = ["it said %r" % contents["private_key"], "it said %r" % json.dumps(contents)]
    assert "verysecret" not in source.told()
    arguments = {"url": "x", "password": "p-1", "auth": {"api_key": "k-1"}, "tokens": ["t-1"]}
    assert secret_values(arguments) == {"p-1", "k-1", "t-1"}
    assert without_secrets(arguments) == {"url": "x", "auth": {}}


def kubeconfig(server, token="t-1"):
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }


def key(**options):
    (source,) = sources.checked([options], {})
    return source.key


def test_another_cluster_or_user_has_another_key(tmp_path, monkeypatch):
    given = [kubeconfig("https://one"), kubeconfig("https://two"), kubeconfig("https://one", "t-2")]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    inline = [key(type="cluster", kubeconfig=one) for one in given]
    assert len(set(inline)) == 3
    assert inline[0] == key(type="cluster", kubeconfig=kubeconfig("https://one"))
    by_path, by_environment, by_home = [], [], []
    for number, one in enumerate(given):
        path = tmp_path / ("config-%d" % number)
        path.write_text(json.dumps(one))
        monkeypatch.setenv("KUBECONFIG", str(path))
        by_environment.append(key(type="cluster"))
        monkeypatch.delenv("KUBECONFIG")
        (tmp_path / ".kube").mkdir(exist_ok=True)
        (tmp_path / ".kube" / "config").write_text(json.dumps(one))
        by_home.append(key(type="cluster"))
        by_path.append(key(type="cluster", kubeconfig=str(tmp_path / ".kube" / "config")))
    assert len(set(by_path)) == len(set(by_environment)) == len(set(by_home)) == 3
    assert key(type="cluster", kubeconfig="/not/there")  # asking tells


def test_another_account_has_another_key(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "key.json"
    assert key(type="libcloud", provider="ec2", key="a") != key(type="libcloud", provider="ec2", key="b")
    assert key(type="gce", access_token="a") != key(type="gce", access_token="b")
    found = []
    for content in ("ship", "boat"):
        path.write_text(content)
        found.append(key(type="gce", service_account_file=str(path)))
        with monkeypatch.context() as patch:
            patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
            found.append(key(type="gce"))
        (tmp_path / ".config" / "gcloud").mkdir(parents=True, exist_ok=True)
        path.replace(tmp_path / ".config" / "gcloud" / "application_default_credentials.json")
        found.append(key(type="gce"))
        with monkeypatch.context() as patch:
            patch.setenv("GOOGLE_CLOUD_PROJECT", content)
            found.append(key(type="gce"))
    assert len(set(found)) == 8


def test_what_yaml_has_can_be_kept():
    since = datetime.date(2024, 1, 1)
    arguments = {"since": since, 3: {"a": [since, None, 1.5]}, "b": ({"c"},)}
    given = {"type": "libcloud", "provider": "ec2", "arguments": arguments, "list_arguments": {"a": since}}
    (source,) = sources.checked([given], {})
    (other,) = sources.checked([dict(given, list_arguments={"a": datetime.date(2024, 1, 2)})], {})
    assert source.key != other.key


def test_every_option_of_every_source_is_documented():
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["sources"]["suboptions"]
    specs = [sources.COMMON, *(module.spec() for module in sources.TYPES.values())]
    merged = {}
    for spec in specs:
        for name, option in spec.items():
            merged.setdefault(name, option)
            kind = "raw" if option["type"] == "jsonarg" else option["type"]  # as docs have it
            assert documented[name]["type"] == kind, name
            assert documented[name].get("elements") == option.get("elements"), name
            assert documented[name].get("default") == option.get("default"), name
            assert sorted(documented[name].get("choices", [])) == sorted(option.get("choices", [])), name
            assert documented[name].get("aliases", []) == option.get("aliases", []), name
    assert set(documented) == set(merged)
