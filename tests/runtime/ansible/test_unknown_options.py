# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that nothing reads are refused wherever options are read, with the one that was meant."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import list_inventory, tool

Result = dict[str, Any]
Play = Callable[..., list[Result]]


def said(expression: str) -> dict[str, Any]:
    return {"ansible.builtin.debug": {"msg": "{{ " + expression + " }}"}}


def test_the_lookup_and_the_filters(play: Play, kubeconfig: str) -> None:
    find = "query('navarch.cluster.object', {}, kubeconfig=config)"
    results = play(
        said(find.format("kind='Secret', resource_nmae='x'")),
        said(find.format("kind='Secret', label_selector='a=b'")),
        said(find.format("kind='Secret', zebra='x'")),
        said("'1Gi' | navarch.cluster.quantity(units='Mi')"),
        said("{} | navarch.cluster.raw_output(strip=true)"),
        said(find.format("kind='Namespace', resource_name='default'") + " | map(attribute='metadata.name')"),
        said(find.format("'default', kind='ns', name='kube-system'") + " | length"),
        said(find.format("kind='ns', name=''")),
        said("'3Gi' | navarch.cluster.quantity(unit='Mi')"),
        config=kubeconfig,
    )
    for result, line in zip(
        results,
        [
            "navarch.cluster.object: resource_nmae: there is no such option (did you mean resource_name?)",
            "navarch.cluster.object: label_selector: there is no such option (did you mean label_selectors?)",
            "navarch.cluster.object: zebra: there is no such option; there are api_key, api_version, ",
            "navarch.cluster.quantity: units: there is no such option (did you mean unit?)",
            "navarch.cluster.raw_output: strip: there is no such option; it has none",
        ],
        strict=False,
    ):
        assert result["failed"]
        assert line in result["msg"]
    assert results[5]["msg"] == ["default"]
    assert results[6]["msg"] in (2, "2")
    assert "name: must not be empty" in results[7]["msg"]
    assert results[8]["msg"] in (3072, "3072")


@pytest.mark.parametrize(
    ("plugin", "file", "option", "meant"),
    [
        ("nodes", "a.navarch.yml", "label_selector", "label_selectors"),
        ("nodes", "a.navarch.yml", "hostname", "hostnames"),
        ("pods", "a.navarch_pods.yml", "label_selector", "label_selectors"),
        ("pods", "a.navarch_pods.yml", "namespace", "namespaces"),
    ],
)
def test_the_top_of_inventory_files(
    environment: dict[str, str],
    kubeconfig: str,
    tmp_path: Path,
    plugin: str,
    file: str,
    option: str,
    meant: str,
) -> None:
    content = {"plugin": f"navarch.cluster.{plugin}", "kubeconfig": kubeconfig}
    failed = list_inventory(environment, tmp_path / file, content | {option: ["app=web"]})["failed"]
    line = f"navarch.cluster.{plugin}: {option}: there is no such option (did you mean {meant}?)"
    assert line in " ".join(failed.split())
    keyed = content | {"keyed_groups": [{"key": "zone"}, {"key": "zone", "prefx": "z"}]}
    failed = list_inventory(environment, tmp_path / file, keyed)["failed"]
    assert "keyed_groups[1].prefx: there is no such option (did you mean prefix?)" in " ".join(failed.split())
    known = {"ca_cert": None, "use_extra_vars": False, "cache": False, "ssl_ca_cert": None}
    assert "failed" not in list_inventory(environment, tmp_path / file, content | known)


def test_sources_within_inventory_files(environment: dict[str, str], kubeconfig: str, tmp_path: Path) -> None:
    source = {"type": "cluster", "kubeconfig": kubeconfig, "label_selector": ["a=b"]}
    content = {"plugin": "navarch.cluster.nodes", "sources": [source]}
    failed = list_inventory(environment, tmp_path / "a.navarch.yml", content)["failed"]
    line = "sources[0] (cluster): label_selector: there is no such option (did you mean label_selectors?)"
    assert line in " ".join(failed.split())


@pytest.mark.parametrize("enabled", ["auto,yaml,ini", "navarch.cluster.nodes,navarch.cluster.pods"])
@pytest.mark.parametrize(
    ("plugin", "ending"), [("nodes", "navarch.yml"), ("pods", "navarch_pods.yml")], ids=["nodes", "pods"]
)
def test_a_file_of_another_name_is_told_so(
    environment: dict[str, str], kubeconfig: str, tmp_path: Path, enabled: str, plugin: str, ending: str
) -> None:
    path = tmp_path / "fleet.yml"
    path.write_text(f"---\n# mine\nplugin: navarch.cluster.{plugin}\nkubeconfig: {kubeconfig}\n")
    env = environment | {
        "ANSIBLE_INVENTORY_ENABLED": enabled,
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    }
    done = subprocess.run(
        [tool("ansible-inventory"), "-i", str(path), "--list"],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    assert f"must end in {ending} or {ending[:-3]}yaml: rename fleet.yml, say to fleet.{ending}" in told
    assert "could not be verified" not in told


def test_inventories_of_other_plugins_are_left_alone(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("all:\n  hosts:\n    a:\n      about: 'plugin: navarch.cluster.nodes'\n")
    env = environment | {"ANSIBLE_INVENTORY_ENABLED": "navarch.cluster.nodes,navarch.cluster.pods,yaml"}
    done = subprocess.run(
        [tool("ansible-inventory"), "-i", str(path), "--list"],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["ungrouped"]["hosts"] == ["a"]


def test_the_connection(play: Play, kubeconfig: str) -> None:
    task = {"ansible.builtin.raw": "true", "ignore_unreachable": True}
    there = {"ansible_connection": "navarch.cluster.pod", "ansible_pod_name": "none"}
    wrong, right = play(
        task | {"vars": {**there, "ansible_pod_kubeconfig": kubeconfig, "ansible_pod_contanier": "web"}},
        task | {"vars": {**there, "ansible_pod_kubeconfig": kubeconfig}},
    )
    line = "ansible_pod_contanier: there is no such option (did you mean ansible_pod_container?)"
    assert line in wrong["msg"]
    assert "there is no pod default/none" in right["msg"]


def test_a_definition_that_the_api_does_not_know(play: Play) -> None:
    definition = {"metadata": {"name": "typo"}, "spec": {"containers": [{"name": "c", "imgae": "x"}]}}
    (result,) = play(
        {
            "navarch.cluster.pod": {"definition": definition, "containers": [{"name": "c", "image": "i"}]},
            "check_mode": True,
        }
    )
    assert "warnings" not in result  # the option containers is whole
    definition["spec"] = {"hostnmae": "x", "containers": [{"name": "c", "image": "i", "imgae": "x"}]}
    (result,) = play({"navarch.cluster.pod": {"definition": definition}, "check_mode": True})
    assert result["changed"]
    assert any("hostnmae" in warning for warning in result["warnings"])
    assert any("imgae" in warning for warning in result["warnings"])
