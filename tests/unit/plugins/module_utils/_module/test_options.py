# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options before ansible-core looks at them: mappings for lists, and what no module knows."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._module.options import (
    nearest,
    unknown,
    whole,
    with_lists,
)
from ansible_collections.navarch.cluster.plugins.module_utils._pods import spec as pod_spec
from ansible_collections.navarch.cluster.plugins.module_utils._resources import simple_kinds
from ansible_collections.navarch.cluster.plugins.plugin_utils import in_process

SPEC = whole(pod_spec.pod_spec())
FROM = {"secret_key": {"name": "db", "key": "password"}}


def test_lists_may_be_written_as_mappings():
    given = {
        "containers": [
            {
                "name": "web",
                "image": "i",
                "env": {"A": "b", "N": 1, "ON": True, "NONE": None, "P": {"value_from": FROM}},
                "ports": {"http": 8080, "dns": {"container_port": 53, "protocol": "UDP"}},
                "volume_mounts": {"pages": "/www", "keys": {"mount_path": "/keys", "read_only": True}},
            }
        ],
        "volumes": {"pages": {"empty_dir": {}}, "keys": {"secret": {"name": "k", "items": {"a": "b"}}}},
    }
    (made,) = with_lists(SPEC, given)["containers"]
    assert made["env"] == [
        {"name": "A", "value": "b"},
        {"name": "N", "value": 1},
        {"name": "ON", "value": "true"},
        {"name": "NONE"},
        {"name": "P", "value_from": FROM},
    ]
    assert made["ports"] == [
        {"name": "http", "container_port": 8080},
        {"name": "dns", "container_port": 53, "protocol": "UDP"},
    ]
    assert made["volume_mounts"] == [
        {"name": "pages", "mount_path": "/www"},
        {"name": "keys", "mount_path": "/keys", "read_only": True},
    ]
    assert with_lists(SPEC, given)["volumes"] == [
        {"name": "pages", "empty_dir": {}},
        {"name": "keys", "secret": {"name": "k", "items": [{"key": "a", "path": "b"}]}},
    ]
    assert given["containers"][0]["env"]["A"] == "b"  # what was given stays as it is


def test_lists_stay_lists_and_other_mappings_mappings():
    given = {
        "containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "b"}]}],
        "tolerations": {"key": "x"},
        "node_selector": {"a": "b"},
        "volumes": None,
    }
    assert with_lists(SPEC, given) == given
    assert with_lists(simple_kinds.service_spec(), {"ports": {"http": 80}})["ports"] == [
        {"name": "http", "port": 80}
    ]
    assert with_lists({"template": {"options": SPEC}}, {"template": {"volumes": {"a": None}}}) == {
        "template": {"volumes": [{"name": "a"}]}
    }


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("pod", {"contaners": []}, "contaners (did you mean containers?)"),
        ("pod", {"name": "x", "containers": [{"nmae": "c"}]}, "containers.nmae (did you mean name?)"),
        (
            "pod",
            {"containers": [{"env": {"A": {"valeu": 1}}}]},
            "containers.env.valeu (did you mean value?)",
        ),
        (
            "replication_controller",
            {"name": "x", "template": {"volums": {}}},
            "template.volums (did you mean volumes?)",
        ),
        ("schedule", {"Node": "x"}, "Node (did you mean node?)"),
        ("pod", {"zzz": 1}, "zzz."),
    ],
)
def test_an_unknown_option_is_named_before_one_that_is_missing(module, options, said):
    found = in_process.run_task(module, options, False)
    assert found["failed"]
    start = "Unsupported parameters for (navarch.cluster.%s) module: %s" % (module, said)
    assert found["msg"].startswith(start)


def test_the_options_that_there_are_belong_to_the_first_that_is_unknown():
    found = in_process.run_task("pod", {"containers": [{"env_from": []}], "env": {}}, False)["msg"]
    assert found.startswith(
        "Unsupported parameters for (navarch.cluster.pod) module: env, containers.env_from."
    )
    assert "Supported parameters include: affinity, " in found
    found = in_process.run_task("pod", {"containers": [{"env_from": []}]}, False)["msg"]
    assert "Supported parameters of containers include: args, command, env, " in found


def test_aliases_are_known_and_so_is_what_ansible_adds():
    spec = {"ca_cert": {"type": "str", "aliases": ["ssl_ca_cert"]}}
    assert unknown(spec, {"ssl_ca_cert": "x", "_ansible_check_mode": True}, "m") is None
    assert nearest("label-selector", ["label_selectors", "name"]) == "label_selectors"
