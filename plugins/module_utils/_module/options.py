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


class Part(t.Dict[str, t.Any]):
    """The argument spec of an option that has options itself, with what ansible-core has no words for.

    ``by``: a list that may be written as one mapping, whose keys are this option of its members. A value is
    the option ``value``, or a mapping of the other options. ``inner``: what of the spec is documented
    elsewhere, at an option that has the same.
    """

    by: str | None = None
    value: str | None = None
    inner: Spec = {}

    @classmethod
    def referring(cls, spec: Spec) -> Part:
        """The spec without its options, which are documented elsewhere."""
        moved = ("options", "mutually_exclusive", "required_one_of", "required_together")
        made = cls({key: value for key, value in spec.items() if key not in moved})
        made.by, made.value = getattr(spec, "by", None), getattr(spec, "value", None)
        made.inner = {key: value for key, value in spec.items() if key in moved}
        return made


def whole(spec: Spec) -> dict[str, t.Any]:
    """A spec with the options that are documented elsewhere: what a task's options are held to."""
    return {name: _whole(wanted) for name, wanted in spec.items()}


def _whole(wanted: Spec) -> Spec:
    inner = getattr(wanted, "inner", {})
    if not inner and "options" not in wanted:
        return wanted
    made = Part(dict(wanted, **inner))
    made.by, made.value = getattr(wanted, "by", None), getattr(wanted, "value", None)
    if "options" in made:
        made["options"] = whole(made["options"])
    return made


def with_lists(spec: Spec, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options with lists in place of the mappings that stand for them, however deep."""
    made = dict(options)
    for name, wanted in spec.items():
        for key in [name, *wanted.get("aliases", ())]:
            if made.get(key) is not None and wanted.get("options"):
                made[key] = _with_lists(wanted, made[key])
    return made


def _with_lists(wanted: t.Any, value: t.Any) -> t.Any:
    inner = wanted["options"]
    by = getattr(wanted, "by", None)
    if by and isinstance(value, dict):
        value = [_member(by, wanted.value, key, item) for key, item in value.items()]
    if isinstance(value, dict):
        return with_lists(inner, value)
    if isinstance(value, list):
        return [with_lists(inner, item) if isinstance(item, dict) else item for item in value]
    return value


def _member(by: str, option: str | None, key: str, item: t.Any) -> t.Any:
    if item is None or isinstance(item, dict):
        return {by: key, **(item or {})}
    if option is None:
        return item  # of which ansible-core says that it is no mapping
    return {by: key, option: str(item).lower() if isinstance(item, bool) else item}


def shown(name: str) -> str:
    """A name as a message of one line has it.

    >>> shown("a\\nb")
    "'a\\\\nb'"
    """
    return name if name.isprintable() else repr(name)


def unknown(spec: Spec, options: t.Mapping[str, t.Any], module: str) -> str | None:
    """The failure of a task that has options which the module does not know. None where it knows all."""
    strays = sorted(_unknown(spec, options, ()), key=lambda stray: len(stray[0]))
    if not strays:
        return None
    said = ", ".join(
        ".".join(map(shown, (*path, name))) + (" (did you mean %s?)" % nearest if nearest else "")
        for path, name, nearest, _known in strays
    )
    path, _name, _nearest, known = strays[0]
    of = "parameters of " + ".".join(map(shown, path)) if path else "parameters"
    return "Unsupported parameters for (%s) module: %s. Supported %s include: %s." % (
        module,
        said,
        of,
        ", ".join(known),
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
