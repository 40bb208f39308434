# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module's task in the controller's own process: what AnsibleModule does around the module code, without
the process around it.

Belongs here: arguments in, censored result out, and connections that outlive a task. Not here: when a task
may run so (the action plugin), and how code becomes a result (``module_utils._module.runner``).
"""

from __future__ import annotations

import datetime
import functools
import importlib
import json
import os
import traceback
import typing as t
from contextlib import contextmanager

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.common.validation import check_type_dict
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import (
    Connection,
    connect_params,
    secrets,
    shown,
)
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import auth_spec, merge
from ansible_collections.navarch.cluster.plugins.module_utils._module.options import (
    unknown,
    whole,
    with_lists,
)
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import execute

Result = t.Dict[str, t.Any]
MODULES = "ansible_collections.navarch.cluster.plugins.modules."
_clients: dict[tuple[int, Connection, bool], Client] = {}


def run_task(name: str, given: t.Mapping[str, t.Any], check_mode: bool, diff: bool = False) -> Result:
    """The result of the module ``name`` with a task's arguments as Ansible has them."""
    module = importlib.import_module(MODULES + name)
    spec, rules = whole(merge(auth_spec(), module.spec())), getattr(module, "RULES", {})
    options = with_lists(spec, plain(given))
    stray = unknown(spec, options, "navarch.cluster." + name) or _stray(spec, options)
    if stray:
        return {"failed": True, "msg": stray}
    checked = ArgumentSpecValidator(spec, **rules).validate(options)
    params = checked.validated_parameters
    hidden = set(checked._no_log_values) | secrets(params)
    if hasattr(module, "hidden"):
        hidden |= module.hidden(params)
    warnings = [
        "Both option %s and its alias %s are set." % (entry["option"], entry["alias"])
        for entry in checked._warnings
    ]

    def client(params: t.Mapping[str, t.Any], dry_run: bool) -> Client:
        kept = connect(params, dry_run)
        kept.diff = diff
        return kept

    if checked.error_messages:
        result = {"failed": True, "msg": checked.error_messages[0]}
    else:
        try:
            result = execute(module.run, params, check_mode, client)
        except Exception as problem:  # a mistake of ours: as from a module, but with nothing secret in it
            result = {
                "failed": True,
                "msg": "navarch.cluster.%s broke: %s: %s" % (name, type(problem).__name__, problem),
                "exception": traceback.format_exc(),
            }
    warnings += result.pop("warnings", [])
    if warnings:
        result["warnings"] = warnings
    told = module.told(params) if hasattr(module, "told") else params
    result["invocation"] = {"module_args": dict(shown(told))}
    return censored(result, hidden)


@functools.cache
def environment_names() -> set[str]:
    """The environment variables that are read for a task: those that its options fall back to, and
    KUBECONFIG.
    """
    fallbacks = (option.get("fallback") for option in auth_spec().values())
    return {name for fallback in fallbacks if fallback for name in fallback[1]} | {"KUBECONFIG"}


@contextmanager
def in_environment(variables: t.Mapping[str, t.Any]) -> t.Iterator[None]:
    """Has these environment variables for so long, and what was there before again after that."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def connect(params: t.Mapping[str, t.Any], dry_run: bool) -> Client:
    """A client that stays: the items of a loop, and whatever else this process does, share its connections.

    By process id, because a forked process must not speak on its parent's sockets.
    """
    key = (os.getpid(), connect_params(params), dry_run)
    if key not in _clients:
        _clients[key] = Client(key[1], dry_run)
    _clients[key].begin(params)
    return _clients[key]


def plain(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The arguments as a module gets them: through JSON, which leaves Ansible's tags on values behind."""
    made = json.loads(json.dumps(dict(given), default=_plain_value))
    return t.cast("dict[str, t.Any]", made)


def censored(result: Result, hidden: t.Collection[str]) -> Result:
    """The result without secrets; what says yes, no or nothing cannot be one."""
    if not hidden:
        return result
    kept = {key: value for key, value in result.items() if value is None or isinstance(value, bool)}
    return dict(remove_values(result, hidden), **kept)


def _plain_value(value: t.Any) -> t.Any:
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, t.Mapping):
        return dict(value)
    if isinstance(value, (set, tuple)):
        return list(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)


def _stray(spec: t.Mapping[str, t.Any], given: t.Mapping[str, t.Any], where: str = "") -> str | None:
    """What is no mapping where one belongs, within another option: ansible-core's own check breaks on it."""
    for name, value in given.items():
        inner = (spec.get(name) or {}).get("options")
        if not inner or value is None:
            continue
        path = "%s.%s" % (where, name) if where else name
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                found = _stray(inner, part, path)
                if found:
                    return found
            elif not isinstance(part, str) or not _is_mapping(part):
                return "%s: must be a mapping, not %s" % (path, json.dumps(part))
    return None


def _is_mapping(text: str) -> bool:
    """Whether ansible-core makes a mapping of a text; where it does not, it names no option."""
    try:
        check_type_dict(text)
    except (TypeError, ValueError):
        return False
    return True
