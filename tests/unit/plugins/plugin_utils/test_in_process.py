# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Arguments and results of a task in the controller's process."""

from __future__ import annotations

import datetime
import os

import pytest
from ansible_collections.navarch.cluster.plugins.modules import pod_info
from ansible_collections.navarch.cluster.plugins.plugin_utils import in_process


class Tagged(str):
    """As ansible-core hands values over: equal to a str, but none."""


def test_arguments_are_those_that_a_module_gets():
    given = {"a": Tagged("x"), 1: (2, {"b": datetime.date(2026, 1, 2)}), "none": None, "yes": True}
    made = in_process.plain(given)
    assert made == {"a": "x", "1": [2, {"b": "2026-01-02"}], "none": None, "yes": True}
    assert not isinstance(made["a"], Tagged)


def test_secrets_do_not_come_back():
    result = in_process.censored(
        {"msg": "it is s3cret", "changed": True, "list": [{"s3cret": 1}]}, ["s3cret", "True"]
    )
    assert result["msg"] == "it is ********"
    assert result["changed"] is True
    assert "s3cret" not in str(result["list"][0].values())


def test_a_mistake_of_ours_is_told_without_secrets(monkeypatch):
    def breaks(params, client):
        raise ZeroDivisionError("with hidden-token")

    monkeypatch.setattr(pod_info, "run", breaks)
    result = in_process.run_task("pod_info", {"host": "http://127.0.0.1:1", "api_key": "hidden-token"}, False)
    assert result["failed"]
    assert result["msg"] == "navarch.cluster.pod_info broke: ZeroDivisionError: with ********"
    assert "hidden-token" not in str(result)


def test_connections_are_shared_but_not_with_another_process_cluster_or_mode(monkeypatch):
    one = {"host": "http://127.0.0.1:1"}
    client = in_process.connect(one, False)
    assert in_process.connect(dict(one), False) is client
    assert in_process.connect(one, True) is not client
    assert in_process.connect({"host": "http://127.0.0.1:2"}, False) is not client
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert in_process.connect(one, False) is not client


@pytest.mark.parametrize("value", [{"nmae": "x"}, {"label_selectors": {}}, {"namespace": [1]}])
def test_wrong_options_end_in_one_line(value):
    result = in_process.run_task("pod_info", value, False)
    assert result["failed"]
    assert "\n" not in result["msg"]
