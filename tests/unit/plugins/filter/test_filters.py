# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What filters refuse, each in one line."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.navarch.cluster.plugins.filter import quantity as quantity_file
from ansible_collections.navarch.cluster.plugins.filter.merge_manifests import merge_manifests
from ansible_collections.navarch.cluster.plugins.filter.quantity import quantity
from ansible_collections.navarch.cluster.plugins.filter.to_quantity import to_quantity
from ansible_collections.navarch.cluster.plugins.filter.to_selector import to_selector
from ansible_collections.navarch.cluster.plugins.filter.raw_output import raw_output
from ansible_collections.navarch.cluster.plugins.module_utils._api.quantity import UNITS


def refused(called, *given):
    with pytest.raises(AnsibleFilterError) as caught:
        called(*given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("called", "line"),
    [
        (
            lambda: quantity("1Gi", units="Mi"),
            "quantity: units: there is no such option (did you mean unit?)",
        ),
        (lambda: to_quantity(1, zebra=True), "to_quantity: zebra: there is no such option; there are binary"),
        (lambda: to_selector({}, zebra=1), "to_selector: zebra: there is no such option; it has none"),
        (lambda: merge_manifests([], overlays=[]), "merge_manifests: overlays: there is no such option; it"),
        (lambda: raw_output({}, strip=True), "raw_output: strip: there is no such option; it has none"),
    ],
)
def test_keywords_that_nothing_reads(called, line):
    assert refused(called).startswith("navarch.cluster." + line)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (5, "5 is no mapping"),
        ({"a": {"b": 1}}, "the value of a is a mapping"),
        ({"a": []}, "the values of a must be a list of one or more, not []"),
        ({"matchLabels": 5}, "matchLabels: 5 is no mapping"),
        ({"matchExpressions": 5}, "matchExpressions: 5 is no list"),
        ({"matchExpressions": [5]}, "5 is no match expression"),
        ({"matchExpressions": [{"key": "a", "operator": "Near"}]}, "is no match expression"),
        ({"matchLabels": {}, "app": "web"}, "app beside matchLabels and matchExpressions"),
    ],
)
def test_what_is_no_selector(value, line):
    assert line in refused(to_selector, value)


@pytest.mark.parametrize("values", ["xyz", [], None, 5])
def test_values_of_an_expression_are_a_list(values):
    given = {"matchExpressions": [{"key": "a", "operator": "In", "values": values}]}
    assert "the values of a must be a list of one or more, not %r" % (values,) in refused(to_selector, given)


@pytest.mark.parametrize("unit", ["0", 5, "e3", None, "mi"])
def test_what_is_no_unit(unit):
    assert "unit: must be of n, u, m, k, M, " in refused(quantity, "1Gi", unit)


def pod(**spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}


def test_what_deletes_empties_a_mapping():
    base = pod(nodeSelector={"a": "b"}, containers=[{"name": "web"}, {"name": "log"}])
    gone = {"$patch": "delete"}
    over = pod(nodeSelector=gone, affinity=gone, containers=[{"name": "log", "$patch": "delete"}])
    (made,) = merge_manifests(base, over)
    assert made["spec"] == {"nodeSelector": {}, "containers": [{"name": "web"}]}
    assert merge_manifests(base, pod(**{"$patch": "merge", "hostNetwork": True}))[0]["spec"]["containers"]
    assert merge_manifests(base, dict(pod(), **gone)) == []


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ({"$patch": "remove"}, "Pod web.spec.$patch: must be of delete, merge, replace, not 'remove'"),
        ({"containers": [{"name": "web", "$patch": True}]}, "Pod web.spec.containers[0].$patch: must be of"),
        ({"$retainKeys": ["a"]}, "Pod web.spec.$retainKeys: is not supported"),
        ({"$setElementOrder/containers": []}, "$setElementOrder/containers: is not supported"),
        ({"tolerations": [{"key": "a", "$patch": "delete"}]}, "tolerations: its members are not told apart"),
    ],
)
def test_directives_that_would_do_nothing_are_refused(spec, line):
    assert line in refused(merge_manifests, pod(tolerations=[{"key": "a"}]), pod(**spec))


def test_units_are_documented():
    assert yaml.safe_load(quantity_file.DOCUMENTATION)["options"]["unit"]["choices"] == list(UNITS)


def test_sums_can_be_written():
    assert to_quantity(quantity("100m") + quantity("0.2")) == "300m"
    assert to_quantity(sum(quantity("0.1") for _time in range(10))) == "1"
    assert to_quantity(quantity("1Gi") * 1.1, binary=True) == "1181116006400m"
    assert to_quantity(1 / 3) == "333333334n"
    assert to_quantity(float(2**40), binary=True) == "1Ti"


@pytest.mark.parametrize(
    ("stdout", "answer"),
    [
        ("<navarch>\r\nweb1\r\n</navarch>\r\n", "web1"),
        ("[sudo] password for ops: \nWelcome!\n<navarch>\na\nb\n</navarch>\nlogout\n", "a\nb"),
        ("<navarch>\n</navarch>", ""),
        ("bash: sudo: command not found", ""),
        (None, ""),
    ],
)
def test_what_a_host_told_is_between_the_marks(stdout, answer):
    assert raw_output({"stdout": stdout}) == answer


def test_a_task_that_was_skipped_told_nothing():
    assert raw_output({"skipped": True}) == ""


def test_what_is_no_result_tells_nothing():
    assert "'web1' is no result of a task" in refused(raw_output, "web1")
