# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of plugins that Ansible itself would pass over in silence when nothing reads them.

Belongs here: which options a plugin's documentation has, and the names of inventory files. Not here: how
names are compared (``module_utils._module.unknown_options``).
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._module.unknown_options import hold_known, meant

_HEAD = 65536  # bytes of a file in which its ``plugin`` is looked for
Function = t.TypeVar("Function", bound=t.Callable[..., t.Any])


def option_names(plugin: t.Any) -> set[str]:
    """The names of a plugin's options, and their aliases."""
    names: set[str] = set()
    for name, option in plugin.option_definitions.items():
        if not name.startswith("_"):
            names |= {name, *(option.get("aliases") or [])}
    return names


def hold_options(plugin: t.Any, given: t.Mapping[t.Any, t.Any], apart: t.Collection[str] = ()) -> None:
    """Raises OptionError for an option that the plugin's documentation does not have, also within another.
    What is within those named in ``apart`` is left to who reads it.
    """
    hold_known(given, option_names(plugin))
    for name, value in given.items():
        inner = plugin.option_definitions.get(name, {}).get("suboptions")
        if not inner or name in apart:
            continue
        for at, entry in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(entry, t.Mapping):
                hold_known(entry, inner, "%s[%d]." % (name, at) if isinstance(value, list) else name + ".")


def hold_variables(plugin: t.Any, prefix: str, given: t.Iterable[str]) -> None:
    """Raises OptionError for a variable with the prefix of a plugin's own that sets none of its options."""
    entries = [one for option in plugin.option_definitions.values() for one in option.get("vars") or []]
    known = {one["name"] for one in entries if one["name"].startswith(prefix)}
    hold_known(sorted(given), known)


def refusing_unknown(name: str) -> t.Callable[[Function], Function]:
    """For a filter: unknown keywords are refused as options are, not in Python's words."""

    def wrap(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        known = [one.name for one in parameters if one.kind is not inspect.Parameter.VAR_POSITIONAL]

        @functools.wraps(function)
        def checked(*args: t.Any, **options: t.Any) -> t.Any:
            for option in options:
                if option not in known:
                    said = meant(option, known) or (
                        "; there are %s" % ", ".join(known) if known else "; it has none"
                    )
                    raise AnsibleFilterError(
                        "navarch.cluster.%s: %s: there is no such option%s" % (name, option, said)
                    )
            return function(*args, **options)

        return t.cast(Function, checked)

    return wrap


def is_for(plugin: str, path: str) -> bool:
    """Whether an inventory file says at its top that it is for this plugin, whatever its name."""
    if not os.path.isfile(path) or not path.endswith((".yml", ".yaml", ".json")):
        return False
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    says = r"""["']?plugin["']?\s*:\s*["']?%s["']?\s*""" % re.escape(plugin)
    as_block = re.search(r"^%s(#.*)?$" % says, head, re.MULTILINE)
    as_flow = re.match(r"\s*\{\s*([^{}\[\]]*,\s*)?%s[,}]" % says, head)
    return bool(as_block or as_flow)


def hold_file_name(plugin: str, path: str, endings: tuple[str, ...]) -> None:
    """Raises OptionError for an inventory file whose name does not say which plugin it is for."""
    if not path.endswith(endings):
        stem = os.path.splitext(os.path.basename(path))[0]
        raise OptionError(
            "plugin",
            "the name of a file for %s must end in %s: rename %s, say to %s.%s"
            % (plugin, " or ".join(endings), os.path.basename(path), stem, endings[0]),
        )
