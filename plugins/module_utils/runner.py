# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The edge between AnsibleModule and the module code, which is a function of (parameters, client) to a
result.

Only this file ends a module. The same functions can be run by something else than a module.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .args import Spec, auth_spec, merge
from .client import Client
from .errors import ClusterError, StatusError
from .kubeconfig import secrets

Run = t.Callable[[t.Mapping[str, t.Any], Client], t.Dict[str, t.Any]]


def run_module(run: Run, spec: Spec, **settings: t.Any) -> None:
    """Runs one task: ``run`` with a client for the task's cluster, in check mode one that only tries its
    writes.
    """
    module = AnsibleModule(argument_spec=merge(auth_spec(), spec), supports_check_mode=True, **settings)
    module.no_log_values.update(secrets(module.params))
    try:
        client = Client.from_params(module.params, dry_run=module.check_mode)
        try:
            result = run(module.params, client)
        finally:
            client.close()
    except ClusterError as problem:
        module.fail_json(**failure(problem))
    for warning in result.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**result)


def failure(problem: ClusterError) -> dict[str, t.Any]:
    """The result of a task that failed."""
    result: dict[str, t.Any] = {"msg": str(problem)}
    if problem.details.get("missing"):
        result = {
            "msg": missing_required_lib(problem.details["missing"]),
            "exception": problem.details.get("traceback"),
        }
    if isinstance(problem, StatusError):
        result.update(code=problem.code, reason=problem.reason)
    if "changed" in problem.details:
        result["changed"] = problem.details["changed"]
    if problem.details.get("object"):
        result["resource"] = problem.details["object"]
    return result
