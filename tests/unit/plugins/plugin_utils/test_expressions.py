# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Expressions that are followed without Ansible give what Ansible gives, errors and all."""

from __future__ import annotations

import datetime

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.navarch.cluster.plugins.plugin_utils import expressions

HOSTS = [
    {
        "zone": "a-1",
        "public_ip": None,
        "pods": [],
        "cpus": 4,
        "ready": True,
        "labels": {"role": "web", "items": 3, "kubernetes.io/os": "linux"},
        "template": "{{ zone }}",
    },
    {"zone": "b-2", "public_ip": "192.0.2.1", "pods": ["x"], "cpus": 0.5, "ready": False, "labels": {}},
    {"zone": "", "labels": None},
]
PLAIN = [
    "zone",
    "labels.role",
    "labels['role']",
    "labels['kubernetes.io/os']",
    "labels.role.name",
    "labels.role | default('none')",
    "nothing.at.all | default('none')",
    "zone ~ '/' ~ cpus",
    "zone ~ public_ip",
    "zone | upper",
    "zone | replace('-', '_')",
    "pods",
    "pods | length",
    "labels.role is none",
    "public_ip or missing",
    "zone | replace('-', missing)",
    "template",
    "cpus > 2 and ready",
    "not ready",
    "ready or pods",
    "public_ip is not none",
    "public_ip is defined and public_ip is none",
    "'web' in labels",
    "labels.role is undefined",
    "'big' if cpus >= 4 else 'small'",
    "zone == 'a-1'",
    "missing",
    "true",
    "'1'",
]
ANSIBLES = [
    "[zone, cpus]",
    "labels.items",
    "labels.items()",
    "zone is match('a-.*')",
    "zone | regex_replace('-.*')",
    "labels | dict2items",
    "lookup('ansible.builtin.env', 'HOME')",
    "vars.zone",
    "zone }}{{ cpus",
    "{{ zone }}",
    "zone.__class__.__name__",
    "zone.upper()",
    "((",
    "'{{ 1 + 1 }}'",
    "zone == '{{ zone }}'",
]


def outcome(method, expression):
    try:
        value = method(expression)
    except Exception as problem:  # all that can be wrong is compared
        return type(problem), str(problem)
    return type(value), value


@pytest.mark.parametrize("expression", PLAIN + ANSIBLES)
@pytest.mark.parametrize("method", ["evaluate_expression", "evaluate_conditional"])
@pytest.mark.parametrize("host", HOSTS)
def test_it_is_what_ansible_says(expression, method, host):
    ours = expressions.Evaluator(Templar(DataLoader()))
    ours.available_variables = host
    theirs = Templar(DataLoader(), variables=host)
    trusted = trust_as_template(expression)
    assert outcome(getattr(ours, method), trusted) == outcome(getattr(theirs, method), trusted)


def test_templates_in_variables_are_ansibles():
    host = {"role": trust_as_template("{{ 'w' ~ 'eb' }}"), "data": "{{ 1 + 1 }}"}
    for text in ("role == 'web'", "role ~ data", "role", "data == '{{ 1 + 1 }}'"):
        assert outcome(
            evaluator(host, templates=True).evaluate_expression, trust_as_template(text)
        ) == outcome(Templar(DataLoader(), variables=host).evaluate_expression, trust_as_template(text))
    held = trust_as_template("role == 'web'")
    assert evaluator(host, templates=True).evaluate_conditional(held)
    assert evaluator(host, extra=host).evaluate_conditional(held)


def evaluator(variables, templates=False, extra=None):
    ours = expressions.Evaluator(Templar(DataLoader()), extra)
    ours.templates, ours.available_variables = templates, variables
    return ours


def test_what_is_a_template():
    template = trust_as_template("{{ 1 }}")
    for value in (template, [template], {"a": {"b": (1, template)}}, datetime.date(2024, 1, 1)):
        assert expressions.are_templates(value)
    for value in ("{{ 1 }}", trust_as_template("web"), ["a", 1, 0.5, None, True], {}, None):
        assert not expressions.are_templates(value)


def test_which_are_followed():
    assert [one for one in PLAIN if expressions._compiled(one) is None] == []
    assert [one for one in ANSIBLES if expressions._compiled(one) is not None] == ["vars.zone"]


def test_nothing_else_goes_past_ansible():
    class Ansible:
        def template(self, value):
            return "templated %s of %s" % (value, sorted(self.available_variables))

    ours = expressions.Evaluator(Ansible())
    ours.available_variables = {"a": 1}
    assert ours.template(None) is None
    assert ours.template("{{ a }}") == "templated {{ a }} of ['a']"
