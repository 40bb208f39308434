# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one action plugin of all modules of this collection (``meta/runtime.yml`` leads them here).

It runs a module's code in this very process where that is the same as a module on the controller; everything
else it hands over to the module. Not here: how a task runs in this process (``plugin_utils.in_process``). It
has the name of a module because ansible-test wants every action plugin to have one.
"""

from __future__ import annotations

import os
import sys
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError
from ansible_collections.navarch.cluster.plugins.module_utils._module.runner import failure
from ansible_collections.navarch.cluster.plugins.plugin_utils.in_process import (
    environment_names,
    in_environment,
    run_task,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils.manifests import prepared, shown

COLLECTION = "navarch.cluster."


def _is_true(value: t.Any) -> bool:
    """An option of type bool that may be wrong, which the module says."""
    try:
        return bool(boolean(value))
    except TypeError:
        return False


def told_with_arguments(variables: dict[str, t.Any]) -> bool:
    """Whether a module would tell its arguments: always, until a later ansible-core made it a setting."""
    try:
        return bool(C.config.get_config_value("INJECT_INVOCATION", variables=variables))
    except AnsibleError:
        return True


class ActionModule(ActionBase):
    """One task of one module."""

    _supports_async = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        name = self._task.action.rpartition(".")[2]
        variables = task_vars or {}
        given = options = self._task.args
        if name == "manifest":
            try:
                options = prepared(self, given, variables)
            except ClusterError as problem:
                return dict(result, **failure(problem))
        environment = self._environment_here(variables)
        if environment is not None:
            with in_environment(environment):
                result.update(run_task(name, options, bool(self._task.check_mode), bool(self._task.diff)))
            if not told_with_arguments(variables):
                result.pop("invocation", None)
        else:
            wrapped = bool(self._task.async_val)
            asked = {"module_args": options, "task_vars": variables, "wrap_async": wrapped}
            result.update(self._execute_module(COLLECTION + name, **asked))
            if not wrapped:
                self._remove_tmp_path(self._connection._shell.tmpdir)
        if _is_true(options.get("reveal")) and not result.get("failed"):
            result["_ansible_no_log"] = True  # it is registered, and nothing prints it: as include_vars does
        told = (result.get("invocation") or {}).get("module_args")
        if options is not given and isinstance(told, dict):
            told.update(shown(given, options, told))
        return result

    def _environment_here(self, variables: dict[str, t.Any]) -> dict[str, t.Any] | None:
        """What ``environment`` adds to this process's own, where a module would run on this machine, as this
        user, with this Python, and with nothing else in its environment; None where it would not.
        """
        if self._connection.transport != "local" or self._connection.become or self._task.async_val:
            return None
        environment: dict[str, t.Any] = {}
        self._compute_environment_string(environment)
        ours = environment.keys() <= environment_names()
        return environment if ours and self._is_this_python(self._interpreter(variables)) else None

    def _interpreter(self, variables: dict[str, t.Any]) -> str:
        if self._task.delegate_to:
            delegated = variables.get("ansible_delegated_vars") or {}
            variables = delegated.get(self._task.delegate_to) or {}
        return str(self._templar.template(variables.get("ansible_python_interpreter")) or "auto")

    @staticmethod
    def _is_this_python(asked: str) -> bool:
        """Left to be found it is this one. The folder counts, because a virtual environment only links."""
        if asked.startswith("auto"):
            return True
        found = os.path.expanduser(asked)
        here = (os.path.dirname(sys.executable), os.path.realpath(sys.executable))
        return (os.path.dirname(found), os.path.realpath(found)) == here
