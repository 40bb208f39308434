# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is given to any option of any module: the task fails in one line, and nothing of ours breaks.

The cluster is away, so that a task gets as far as its own code takes it. That a wrong value of each option is
told by the option's name is a unit test (`test_wrong_options`).
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_support import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Spec = dict[str, Any]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["", "a", "x/y", "1Gi", "0644", "80", "{}", "[]", "a: [", "yes", "-", "\x00", "\ud800", "a\nb", "/", "*"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OF_TYPE = {
    "str": TEXTS,
    "path": TEXTS,
    "raw": ANYTHING,
    "int": st.integers(-5, 2**40),
    "float": st.floats(),
    "bool": st.booleans(),
    "dict": st.dictionaries(TEXTS, ANYTHING, max_size=3),
    "list": st.lists(ANYTHING, max_size=3),
}


def right(option: Spec) -> st.SearchRules[Any]:
    """Values that fit what the spec says of an option."""
    if option.get("options"):
        inner = options(option["options"])
        return st.lists(inner, max_size=2) if option.get("type") == "list" else inner
    if option.get("choices"):
        return st.sampled_from(option["choices"])
    if option.get("type") == "list":
        return st.lists(OF_TYPE[option.get("elements", "str")], max_size=3)
    return OF_TYPE[option.get("type", "str")]


def options(spec: Spec) -> st.SearchRules[dict[str, Any]]:
    """Options that fit their types, but for some that are anything."""
    values = {name: right(option) | right(option) | right(option) | ANYTHING for name, option in spec.items()}
    needed = {name: values[name] for name, option in spec.items() if option.get("required")}
    free = {name: values[name] for name in spec if name not in needed}
    return st.fixed_dictionaries(needed, optional=free)


@pytest.fixture(scope="module")
def nowhere() -> Iterator[str]:
    """The address of a cluster that is away."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("name", MODULES)
def test_no_options_break_a_module(
    plugins: str, nowhere: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_process = importlib.import_module(f"{plugins}.plugin_utils.in_process")
    module = importlib.import_module(f"{plugins}.modules.{name}")
    auth = importlib.import_module(f"{plugins}.module_utils._module.args").auth_spec()
    if "navarch.cluster.auth\n" not in module.DOCUMENTATION:
        pytest.skip("asks no cluster, and does not run in Ansible's own process")
    # The tries are all made, without the pauses between them: a second and a half for each example.
    client = importlib.import_module(f"{plugins}.module_utils._api.client")
    monkeypatch.setattr(client, "_pause", lambda _attempt, _retry_after: 0.0)

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(options(module.spec()), st.dictionaries(st.sampled_from(sorted(auth)), ANYTHING, max_size=1))
    def tried(own: dict[str, Any], connection: dict[str, Any]) -> None:
        connection.pop("proxy", None)  # which would be asked in its place
        given_options = {"host": nowhere, **connection, **own}
        result = in_process.run_task(name, given_options, False)
        assert "broke:" not in result.get("msg", ""), result.get("exception")
        assert result.get("failed") or name in ("pod_exec", "pod_copy", "manifest"), result
        assert "\n" not in result.get("msg", "")

    tried()
