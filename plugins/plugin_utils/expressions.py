# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions that an inventory evaluates for each of thousands of hosts.

For Ansible an evaluation is the building of a world: it compiles the expression and wraps every variable and
every global there is. Most expressions only look at values: those are compiled once, by Jinja itself, and
followed. All that is not as plain, or does not go well, is Ansible's as before: its results, and its words.
"""

from __future__ import annotations

import functools
import typing as t

from ansible.template import is_trusted_as_template
from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError, nodes
from jinja2.sandbox import SandboxedEnvironment

#: What looks at values and nothing else, and is in Ansible what it is in Jinja.
_NODES = (
    nodes.And, nodes.Compare, nodes.Concat, nodes.CondExpr, nodes.Const, nodes.Filter, nodes.Getattr,
    nodes.Getitem, nodes.Name, nodes.Not, nodes.Or, nodes.Test,
)  # fmt: skip
_FILTERS = {"d", "default", "join", "length", "lower", "replace", "trim", "upper"}
_TESTS = {"defined", "none", "undefined"}
_VALUES = (str, int, float, list, dict, type(None))

_MARKS = ("{{", "{%", "{#")

_environment = SandboxedEnvironment(undefined=StrictUndefined)
_environment.globals.clear()


def _is_none(value: t.Any) -> bool:
    if isinstance(value, Undefined):
        raise UndefinedError("which to Jinja is not none, and to Ansible an error")
    return value is None


_environment.tests["none"] = _is_none


class Evaluator:
    """Stands for Ansible's templar in an inventory plugin, with what Constructable asks it.

    ``templates``: whether variables may be templates, which only Ansible evaluates; ``extra``: variables that
    stand beside each host's.
    """

    def __init__(self, ansible: t.Any, extra: t.Any = None) -> None:
        self._ansible = ansible
        self._extra = are_templates(extra)
        self.templates = False
        self.available_variables: t.Mapping[str, t.Any] = {}

    def template(self, value: t.Any) -> t.Any:
        return value if value is None else self._asked().template(value)

    def evaluate_expression(self, expression: str) -> t.Any:
        value = self._plain(expression)
        return value if isinstance(value, _VALUES) else self._asked().evaluate_expression(expression)

    def evaluate_conditional(self, conditional: t.Any) -> bool:
        # What is neither true nor false is an error, which Ansible words.
        value = self._plain(conditional)
        return value if isinstance(value, bool) else self._asked().evaluate_conditional(conditional)

    def _plain(self, expression: t.Any) -> t.Any:
        if self.templates or self._extra or not isinstance(expression, str):
            return _NONE
        followed = _compiled(expression)
        try:
            return _NONE if followed is None else followed(self.available_variables)
        except Exception:  # whatever a value's own method raises: Ansible meets it again, and tells
            return _NONE

    def _asked(self) -> t.Any:
        self._ansible.available_variables = self.available_variables
        return self._ansible


def are_templates(value: t.Any) -> bool:
    """Whether there is something in a value that Ansible evaluates when it is used: a template, a vaulted
    text."""
    if isinstance(value, t.Mapping):
        return any(map(are_templates, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(are_templates, value))
    if isinstance(value, str):
        return any(mark in value for mark in _MARKS) and is_trusted_as_template(value)
    return not isinstance(value, (int, float, type(None)))


#: Of no type that a value can have.
_NONE = object()


@functools.cache
def _compiled(expression: str) -> t.Callable[[t.Mapping[str, t.Any]], t.Any] | None:
    """What gives the value of an expression, of one that only looks at values."""
    try:
        parsed = _environment.parse("{{ %s }}" % expression)
    except TemplateError:
        return None
    output = parsed.body[0]
    if len(parsed.body) != 1 or not isinstance(output, nodes.Output) or len(output.nodes) != 1:
        return None
    if not all(_looks(node) for node in output.find_all(nodes.Expr)):
        return None
    kept = nodes.Assign(nodes.Name("result", "store"), output.nodes[0], lineno=1)
    template = _environment.from_string(nodes.Template([kept], lineno=1))

    def follow(variables: t.Mapping[str, t.Any]) -> t.Any:
        # Unlike Jinja's own compiled expressions this copies no variables: there are many of them, and hosts.
        context = template.new_context(t.cast("dict[str, t.Any]", variables), shared=True)
        for _text in template.root_render_func(context):
            pass
        return context.vars["result"]

    return follow


def _looks(node: nodes.Expr) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in _FILTERS
    if isinstance(node, nodes.Test):
        return node.name in _TESTS
    if isinstance(node, nodes.Getattr):
        # A dictionary's own methods stand before its keys.
        return not hasattr(dict, node.attr)
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        return not any(mark in node.value for mark in _MARKS)
    return isinstance(node, _NODES)
