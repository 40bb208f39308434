# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The query of a log, and whose fault it is when there is none."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError, StatusError
from ansible_collections.navarch.cluster.plugins.module_utils._pods.logs import log_query, read_log


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, {}),
        ({"container": "c", "tail_lines": 0, "previous": False}, {"container": "c", "tailLines": 0}),
        ({"since": "90s", "timestamps": True}, {"sinceSeconds": 90, "timestamps": "true"}),
        ({"since": "1h30m"}, {"sinceSeconds": 5400}),
        ({"since": "45"}, {"sinceSeconds": 45}),
        ({"since": "2026-01-31T12:00:00Z"}, {"sinceTime": "2026-01-31T12:00:00Z"}),
    ],
)
def test_the_query_of_a_log(options, query):
    assert log_query(options) == query


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"since": "yesterday"}, "since: 'yesterday' is neither"),
        ({"tail_lines": -1}, "tail_lines: cannot be negative"),
    ],
)
def test_mistakes(options, line):
    with pytest.raises(OptionError) as told:
        log_query(options)
    assert str(told.value).startswith(line)


@pytest.mark.parametrize(
    ("code", "reason", "said", "option"),
    [
        (404, "NotFound", 'pods "x" not found', "name"),
        (
            400,
            "BadRequest",
            "a container name must be specified for pod x, choose one of: [a b]",
            "container",
        ),
        (400, "BadRequest", 'previous terminated container "a" in pod "x" not found', "previous"),
    ],
)
def test_the_option_that_is_to_blame_is_named(code, reason, said, option):
    class Client:
        def text(self, *_args):
            raise StatusError(code, reason, said, said)

    with pytest.raises(OptionError, match="^" + option + ": "):
        read_log(Client(), {"namespace": "default", "name": "x"})
