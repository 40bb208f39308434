# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""A task's options before ansible-core checks them: lists that were written as mappings, and options that no
module has, which ansible-core names last of all that is wrong.

Belongs here: what is done with options by the argument spec alone. Not here: what any option means.
"""

from __future__ import annotations

import typing as t

Spec = t.Mapping[str, t.Any]


class Members(t.Dict[str, t.Any]):
    """The argument spec of a list of mappings that may be written as one mapping.

    ``by`` is the option that the mapping's keys are, ``value`` the option that a value is which is no mapping
    of the other options itself.
    """

    by: str
    value: str | None = None


def with_lists(spec: Spec, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options with lists in place of the mappings that stand for them, however deep."""
    made = dict(options)
    for name, wanted in spec.items():
        for key in [name, *wanted.get("aliases", ())]:
            if made.get(key) is not None and wanted.get("options"):
                made[key] = _with_lists(wanted, made[key])
    return made


def _with_lists(wanted: Spec, value: t.Any) -> t.Any:
    inner = wanted["options"]
    if isinstance(wanted, Members) and isinstance(value, dict):
        value = [_member(wanted, key, item) for key, item in value.items()]
    if isinstance(value, dict):
        return with_lists(inner, value)
    if isinstance(value, list):
        return [with_lists(inner, item) if isinstance(item, dict) else item for item in value]
    return value


def _member(wanted: Members, key: str, item: t.Any) -> t.Any:
    if item is None or isinstance(item, dict):
        return {wanted.by: key, **(item or {})}
    if wanted.value is None:
        return item  # of which ansible-core says that it is no mapping
    return {wanted.by: key, wanted.value: str(item).lower() if isinstance(item, bool) else item}


def unknown(spec: Spec, options: t.Mapping[str, t.Any], module: str) -> str | None:
    """The failure of a task that has options which the module does not know. None where it knows all."""
    strays = list(_unknown(spec, options, ()))
    if not strays:
        return None
    said = ", ".join(
        ".".join((*path, name)) + (" (did you mean %s?)" % nearest if nearest else "")
        for path, name, nearest, _known in strays
    )
    return "Unsupported parameters for (%s) module: %s. Supported parameters include: %s." % (
        module,
        said,
        ", ".join(strays[0][3]),
    )


def _unknown(
    spec: Spec, options: t.Mapping[str, t.Any], path: tuple[str, ...]
) -> t.Iterator[tuple[tuple[str, ...], str, str | None, list[str]]]:
    names = {key: name for name, wanted in spec.items() for key in [name, *(wanted.get("aliases") or ())]}
    for key, value in options.items():
        if str(key).startswith("_ansible_"):
            continue
        if key not in names:
            yield path, str(key), nearest(str(key), names), sorted(spec)
            continue
        inner = spec[names[key]].get("options")
        if not inner:
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from _unknown(inner, part, (*path, str(key)))


def nearest(name: str, known: t.Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    import difflib  # which only mistakes need

    found = difflib.get_close_matches(name.lower().replace("-", "_"), list(known), 1, 0.6)
    return found[0] if found else None
