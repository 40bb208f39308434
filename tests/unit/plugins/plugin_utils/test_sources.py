# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sources of the inventory: each option wrong in turn is named, each is documented, no secret is told."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.navarch.cluster.plugins.doc_fragments.nodes_sources import ModuleDocFragment
from ansible_collections.navarch.cluster.plugins.module_utils.cloud_machine import (
    secret_values,
    without_secrets,
)
from ansible_collections.navarch.cluster.plugins.module_utils.errors import ClusterError
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
        ({"type": "cloud"}, "sources[0].type: must be one of cluster, gce, libcloud, static, not cloud"),
        ({"api_url": "compute"}, "api_url: compute is no address"),
        ({"api_url": "http://compute.example.org/v1"}, "api_url: must be https"),
        (
            {"access_token": None, "auth_kind": "accesstoken"},
            "access_token: is needed for auth_kind accesstoken",
        ),
        ({"type": "static", "hosts": [{"name": "x", "adress": "y"}]}, "hosts[0]: has no adress"),
        ({"type": "static", "hosts": [{"variables": {}}]}, "hosts[0]: needs a name or an address"),
        ({"type": "static", "hosts": [{"name": "x", "variables": []}]}, ""),
        (
            {"type": "static", "hosts": [{"name": "x", "variables": 3}]},
            "hosts[0].variables: must be a mapping",
        ),
        ({"type": "static", "hosts": [3]}, "hosts[0]: must be an address"),
    ],
)
def test_wrong_values(options, line):
    whole = dict(LEAST["gce"], **options) if "type" not in options else options
    said = told(whole)
    assert line in said if line else not said


def test_what_a_list_of_sources_may_be():
    for given, line in (([], "sources: must be"), ([3], "sources[0]: must be a mapping")):
        with pytest.raises(ClusterError) as caught:
            sources.checked(given, {})
        assert line in str(caught.value)
    static = LEAST["static"]
    assert [one.name for one in sources.checked([static, static], {})] == ["static", "static-2"]
    with pytest.raises(ClusterError, match=r"sources\[1\].name: another source is called a"):
        sources.checked([dict(static, name="a"), dict(static, name="a")], {})


def test_secrets_are_in_no_key_and_no_line():
    contents = {"type": "service_account", "private_key": "----verysecret\n----", "client_email": "x"}
    options = {"type": "gce", "projects": ["ship"], "service_account_contents": json.dumps(contents)}
    (source,) = sources.checked([options], {})
    (same,) = sources.checked([dict(options, projects=["ship"])], {})
    (other,) = sources.checked([dict(options, projects=["boat"])], {})
    assert source.key == same.key != other.key
    source.problems = ["it said ----verysecret\n----"]
    assert "verysecret" not in source.told()
    arguments = {"url": "x", "password": "p-1", "auth": {"api_key": "k-1"}, "tokens": ["t-1"]}
    assert secret_values(arguments) == {"p-1", "k-1", "t-1"}
    assert without_secrets(arguments) == {"url": "x", "auth": {}}


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
