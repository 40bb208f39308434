# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""How one table of fields becomes both a module's argument spec and the object that is sent to the API.

Belongs here: the machinery. The tables themselves are in ``_pods.spec``.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._api.errors import OptionError
from .._api.quantity import parse_quantity
from .options import Part

Convert = t.Callable[[t.Any, str], t.Any]


@dataclass(frozen=True)
class Field:
    """One option and the field of the API that it stands for.

    ``fields`` makes it a dict (or, with ``many``, a list of dicts) of further fields.
    ``mapping``, with ``many``: it may be written as a mapping too, of the first of these to the second.
    ``elsewhere``: its fields are documented at another option that has the same ones.
    ``convert`` (value, path of the option) -> value for the API, where that is not the value itself.
    """

    option: str
    wire: str
    type: str = "str"
    elements: str | None = None
    fields: tuple[Field, ...] = ()
    many: bool = False
    required: bool = False
    choices: tuple[str, ...] = ()
    at_most_one_of: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    mapping: tuple[str, str | None] | None = None
    elsewhere: bool = False
    convert: Convert | None = None


def text(option: str, wire: str, **more: t.Any) -> Field:
    return Field(option, wire, "str", **more)


def number(option: str, wire: str, **more: t.Any) -> Field:
    return Field(option, wire, "int", **more)


def flag(option: str, wire: str, **more: t.Any) -> Field:
    return Field(option, wire, "bool", **more)


def texts(option: str, wire: str, **more: t.Any) -> Field:
    return Field(option, wire, "list", elements="str", **more)


def group(option: str, wire: str, *fields: Field, **more: t.Any) -> Field:
    return Field(option, wire, "dict", fields=fields, **more)


def members(option: str, wire: str, *fields: Field, **more: t.Any) -> Field:
    return Field(option, wire, "list", elements="dict", fields=fields, many=True, **more)


def argument_spec(fields: t.Iterable[Field]) -> dict[str, t.Any]:
    """The options of an AnsibleModule for these fields."""
    return {field.option: _spec(field) for field in fields}


def _spec(field: Field) -> dict[str, t.Any]:
    spec: dict[str, t.Any] = {"type": field.type}
    if field.elements:
        spec["elements"] = field.elements
    if field.required:
        spec["required"] = True
    if field.choices:
        spec["choices"] = list(field.choices)
    if field.fields:
        spec["options"] = argument_spec(field.fields)
    if field.one_of or field.at_most_one_of:
        spec["mutually_exclusive"] = [list(field.one_of or field.at_most_one_of)]
    if field.one_of:
        spec["required_one_of"] = [list(field.one_of)]
    if any(word in field.option for word in ("key", "secret", "token")):
        spec["no_log"] = False  # names of secrets and of keys in them, never what they hold
    if field.mapping:
        spec = Part(spec)
        spec.by, spec.value = field.mapping
    return Part.referring(spec) if field.elsewhere else spec


def to_api(fields: t.Iterable[Field], values: t.Mapping[str, t.Any], where: str = "") -> dict[str, t.Any]:
    """What the API is sent for the options that were given. Options left out are left out."""
    made: dict[str, t.Any] = {}
    for field in fields:
        value = values.get(field.option)
        if value is None:
            continue
        path = "%s.%s" % (where, field.option) if where else field.option
        if field.many:
            value = [
                to_api(field.fields, member, member_path(path, member, i)) for i, member in enumerate(value)
            ]
        elif field.fields:
            value = to_api(field.fields, value, path)
        if field.convert:
            value = field.convert(value, path)
        made[field.wire] = value
    return made


def member_path(path: str, member: t.Mapping[str, t.Any], index: int) -> str:
    return "%s[%s]" % (path, member.get("name") or index)


# -- conversions


def quantity(value: t.Any, path: str) -> str:
    try:
        parse_quantity(value)
    except ValueError as problem:
        raise OptionError(path, str(problem)) from None
    return str(value)


def quantities(value: t.Mapping[str, t.Any], path: str) -> dict[str, str]:
    return {str(name): quantity(amount, "%s.%s" % (path, name)) for name, amount in value.items()}


def strings(value: t.Mapping[str, t.Any], path: str) -> dict[str, str]:
    """A mapping of strings. YAML's own booleans become what YAML spells them as."""
    made = {}
    for name, item in value.items():
        if isinstance(item, (dict, list)):
            raise OptionError("%s.%s" % (path, name), "must be a string, not a %s" % type(item).__name__)
        made[str(name)] = (
            {True: "true", False: "false"}[item]
            if isinstance(item, bool)
            else ""
            if item is None
            else str(item)
        )
    return made


def removable(value: t.Mapping[str, t.Any], path: str) -> dict[str, str | None]:
    """A mapping of strings of which null takes one away."""
    made: dict[str, str | None] = dict(strings({k: v for k, v in value.items() if v is not None}, path))
    return dict(made, **{str(key): None for key, item in value.items() if item is None})


def port(value: str, path: str) -> int | str:
    """A port's number, or the name of a port of the container."""
    return int(value) if str(value).isascii() and str(value).isdigit() else value


def mode(value: t.Any, path: str) -> int:
    """File permissions: a text is octal. A number is them already, as YAML reads 0644 as octal itself."""
    bits = -1
    if isinstance(value, str):
        try:
            bits = int(value, 8)
        except ValueError:
            pass
    elif isinstance(value, int) and not isinstance(value, bool):
        bits = value
    if not 0 <= bits <= 0o777:
        raise OptionError(path, "%r are no file permissions in octal (such as '0644')" % (value,))
    return bits


def field_path(value: str, path: str) -> dict[str, str]:
    return {"fieldPath": value}
