# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``pod_exec`` does with its options: ansible.builtin.command, in a container.

Belongs here: the command's words, when it runs, and the task's result. Not here: running it (``streaming``).
"""

from __future__ import annotations

import datetime
import shlex
import typing as t

from .._api.client import Client
from .._api.errors import ClusterError, OptionError
from .streaming import Target, run

Params = t.Mapping[str, t.Any]
Result = t.Dict[str, t.Any]
#: Names match as in a shell, without words being split: an IFS of nothing leaves the pattern whole.
_EXISTS = 'IFS=; for f in $0; do [ -e "$f" ] || [ -L "$f" ] && exit 0; done; exit 1'
_CHDIR = 'cd -- "$0" && exec "$@"'


def run_command(params: Params, client: Client) -> Result:
    """The result of one task of ``pod_exec``."""
    target = Target(params["namespace"], params["name"], params["container"])
    argv = words(params)
    timeout = params["timeout"]
    if timeout is not None and timeout <= 0:
        raise OptionError("timeout", "must be a number of seconds above 0")
    result: Result = {"changed": False, "cmd": argv, "stdout": "", "stderr": "", "rc": None, "msg": ""}
    needless = _needless(params, client, target)
    verb = "Would" if client.dry_run else "Did"
    if needless:
        result.update(
            rc=0, msg="%s not run command since %s" % (verb, needless), stdout="skipped, since " + needless
        )
        return _lines(result)
    if client.dry_run:
        result.update(rc=0, changed=True, msg="Command would have run if not in check mode")
        if not params["creates"] and not params["removes"]:
            result.update(skipped=True, changed=False)
        return _lines(result)
    if params["chdir"]:
        argv = ["sh", "-c", _CHDIR, params["chdir"], *argv]
    begun = datetime.datetime.now()
    outcome = run(client, target, argv, _stdin(params), timeout)
    ended = datetime.datetime.now()
    result.update(
        changed=True,
        rc=outcome.code,
        stdout=_text(outcome.out, params),
        stderr=_text(outcome.err, params),
        start=str(begun),
        end=str(ended),
        delta=str(ended - begun),
    )
    if outcome.code:
        result.update(failed=True, msg="non-zero return code")
    return _lines(result)


def words(params: Params) -> list[str]:
    """The command as the list of words that it is run by."""
    given = params["argv"] if params["argv"] is not None else params["command"]
    option = "command" if params["argv"] is None else "argv"
    if isinstance(given, str):
        try:
            found = shlex.split(given)
        except ValueError as problem:
            raise OptionError(option, "cannot be split into words: %s" % problem) from None
    elif isinstance(given, list) and not any(
        isinstance(word, (list, dict)) or word is None for word in given
    ):
        found = [str(word) for word in given]
    else:
        raise OptionError(option, "must be a string or a list of strings")
    if not found or not found[0]:
        raise OptionError(option, "is empty")
    if any("\0" in word for word in found):
        raise OptionError(option, "no word of a command can have a zero byte in it")
    return found


def _stdin(params: Params) -> bytes | None:
    if params["stdin"] is None:
        return None
    text = params["stdin"] + ("\n" if params["stdin_add_newline"] else "")
    return t.cast("bytes", text.encode("utf-8", "surrogateescape"))


def _needless(params: Params, client: Client, target: Target) -> str:
    """Why the command need not run, by what is in the container."""
    for option, when, words_of in (("creates", True, "exists"), ("removes", False, "does not exist")):
        pattern = params[option]
        if not pattern:
            continue
        outcome = run(client, target, ["sh", "-c", _EXISTS, pattern], timeout=params["timeout"])
        if outcome.code not in (0, 1):
            raise ClusterError(
                "%s: cannot look for %s in %s, which takes sh in the container: %s"
                % (option, pattern, target, _first_line(outcome.err or outcome.out))
            )
        if (outcome.code == 0) == when:
            return "%s %s" % (pattern, words_of)
    return ""


def _first_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else "no reason given"


def _text(data: bytes, params: Params) -> str:
    text = data.decode("utf-8", "replace")
    return text.rstrip("\r\n") if params["strip_empty_ends"] else text


def _lines(result: Result) -> Result:
    return dict(
        result, stdout_lines=result["stdout"].splitlines(), stderr_lines=result["stderr"].splitlines()
    )
