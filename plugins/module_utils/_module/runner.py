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
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._api.client import Client
from .._api.errors import ClusterError, OptionError, StatusError
from .._api.kubeconfig import secrets, shown
from .args import Spec, auth_spec, hold_names, merge
from .options import unknown, whole, with_lists

Result = t.Dict[str, t.Any]
Asked = t.TypeVar("Asked")  # what a task is asked of: a cluster's client, an Engine
Run = t.Callable[[t.Mapping[str, t.Any], Client], Result]


#: Rules about several options that a module may have.
RULES = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
Hidden = t.Callable[[t.Mapping[str, t.Any]], t.Set[str]]
Told = t.Callable[[t.Mapping[str, t.Any]], t.Dict[str, t.Any]]


class _Checked(AnsibleModule):
    """One that holds its options to the whole spec, of which ansible-core is shown what is documented: it
    takes mappings for lists, and names an option that it does not know before all else.
    """

    def __init__(self, argument_spec: Spec, **asked: t.Any) -> None:
        self._whole = whole(argument_spec)
        self._rules = {key: asked[key] for key in RULES if key in asked}
        self._wrong: str | None = None
        super().__init__(argument_spec=argument_spec, **asked)
        if self._wrong:
            self.fail_json(self._wrong)
        self.params.update(self._checked.validated_parameters)
        self.no_log_values.update(self._checked._no_log_values)

    def _load_params(self) -> None:
        super()._load_params()
        self.params = with_lists(self._whole, self.params)
        own = {key: value for key, value in self.params.items() if not key.startswith("_ansible_")}
        self._checked = ArgumentSpecValidator(self._whole, **self._rules).validate(own)
        name = str(self.params.get("_ansible_module_name") or "")
        self._wrong = unknown(self._whole, own, name) or next(iter(self._checked.error_messages), None)

    def fail_json(self, msg: str, **result: t.Any) -> t.NoReturn:
        super().fail_json(self._wrong or msg, **result)


class _Module(_Checked):
    """One that knows what is secret before it says anything, of wrong options too, or to the system's log."""

    def __init__(self, hidden: Hidden, told: Told, **asked: t.Any) -> None:
        self._hidden, self._told = hidden, told
        super().__init__(**asked)

    def _log_invocation(self) -> None:
        self._learn()
        super()._log_invocation()

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        self._hide()
        super().exit_json(**result)

    def fail_json(self, msg: str, **result: t.Any) -> t.NoReturn:
        self._hide()
        super().fail_json(msg, **result)

    def _learn(self) -> None:
        self.no_log_values.update(secrets(self.params), self._hidden(self.params))

    def _hide(self) -> None:
        self._learn()
        self.params = dict(shown(self._told(self.params)))


def run_module(
    run: Run, spec: Spec, hidden: Hidden | None = None, told: Told | None = None, **rules: t.Any
) -> None:
    """Runs one task: ``run`` with a client for the task's cluster, in check mode one that only tries its
    writes. ``hidden`` finds in the parameters what is secret where no option as a whole is, and ``told`` is
    how they are shown with the result where they hold more than that.
    """
    module = _Module(
        hidden or (lambda params: set()),
        told or dict,
        argument_spec=merge(auth_spec(), spec),
        supports_check_mode=True,
        no_log=hidden is not None,  # the system's log gets no parameters then
        **rules,
    )

    def connect(params: t.Mapping[str, t.Any], dry_run: bool) -> Client:
        client = Client.from_params(params, dry_run)
        client.diff = module._diff
        return client

    _end(module, execute(run, module.params, module.check_mode, connect))


def run_asking(
    connect: t.Callable[[t.Mapping[str, t.Any], bool], Asked],
    run: t.Callable[[t.Mapping[str, t.Any], Asked], Result],
    spec: Spec,
    **rules: t.Any,
) -> None:
    """Runs one task that asks no cluster but something else, such as this machine's Engine."""
    module = _Checked(argument_spec=spec, supports_check_mode=True, **rules)
    _end(module, execute(run, module.params, module.check_mode, connect))


def _end(module: AnsibleModule, result: Result) -> None:
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def execute(
    run: t.Callable[[t.Mapping[str, t.Any], Asked], Result],
    params: t.Mapping[str, t.Any],
    check_mode: bool,
    connect: t.Callable[[t.Mapping[str, t.Any], bool], Asked],
) -> Result:
    """The result of one task, failed or not, whoever runs it."""
    client: t.Any = None
    try:
        hold_names(params)
        client = connect(params, check_mode)
        return _with_warnings(run(params, client), client)
    except ClusterError as problem:
        return _with_warnings(failure(problem), client)
    except UnicodeEncodeError:
        wrong = _no_text(params)
        if wrong is None:
            raise
        return failure(OptionError(wrong, "holds bytes that are no text in UTF-8"))


def _with_warnings(result: Result, client: t.Any) -> Result:
    """The result with what the API warned of."""
    told = list(result.get("warnings") or [])
    told += [text for text in getattr(client, "warnings", ()) if text not in told]
    return dict(result, warnings=told) if told else result


def _no_text(value: t.Any, path: str = "") -> str | None:
    """The option that holds what cannot be sent as text."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return path
        return None
    pairs: t.Iterable[tuple[t.Any, t.Any]] = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)
    for key, item in pairs:
        inner = "%s[%d]" % (path, key) if isinstance(value, (list, tuple)) else "%s.%s" % (path, key)
        found = _no_text(item, inner.lstrip(".")) or (_no_text(key, path) if isinstance(key, str) else None)
        if found:
            return found
    return None


def failure(problem: ClusterError) -> dict[str, t.Any]:
    """The result of a task that failed."""
    result: dict[str, t.Any] = {"failed": True, "msg": str(problem)}
    if problem.details.get("missing"):
        result = {
            "failed": True,
            "msg": missing_required_lib(problem.details["missing"]),
            "exception": problem.details.get("traceback"),
        }
    if isinstance(problem, StatusError):
        result.update(code=problem.code, reason=problem.reason)
    if "changed" in problem.details:
        result["changed"] = problem.details["changed"]
    result.update(problem.details.get("result") or {})
    if problem.details.get("object"):
        result["resource"] = problem.details["object"]
    return result
