# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Arguments of the event source, which come without types."""

from __future__ import annotations

import ast
import pathlib

import pytest
import yaml
from ansible.module_utils.parsing import convert_bool
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._module import args, eda_args


def test_words_are_those_of_ansible():
    assert set(eda_args.TRUE) == {one for one in convert_bool.BOOLEANS_TRUE if isinstance(one, str)}
    assert set(eda_args.FALSE) == {one for one in convert_bool.BOOLEANS_FALSE if isinstance(one, str)}


def test_the_environment_is_asked_as_for_modules():
    assert {name: option["fallback"][1] for name, option in args.auth_spec().items()} == {
        name: [variable] for name, variable in eda_args.ENVIRONMENT.items()
    }
    environ = {"K8S_AUTH_HOST": "https://there", "K8S_AUTH_VERIFY_SSL": "no", "K8S_AUTH_PROXY": ""}
    assert eda_args.checked({"kind": "Pod", "host": None}, environ) == {
        "kind": "Pod",
        "host": "https://there",
        "validate_certs": False,
    }
    assert eda_args.checked({"kind": "Pod", "host": "https://here"}, environ)["host"] == "https://here"


def test_selectors_in_each_form():
    for given, read in (
        ("run=p1", ["run=p1"]),
        (["run=p1", "!old"], ["run=p1", "!old"]),
        ({"run": "p1", "version": 2, "empty": ""}, ["run=p1", "version=2", "empty="]),
        ([], []),
        ({}, []),
    ):
        for name in ("label_selectors", "field_selectors"):
            assert eda_args.checked({"kind": "Pod", name: given}, {})[name] == read


def test_each_wrong_argument_is_named():
    for wrong, said in (
        ({"kind": 5}, "kind: must be a string, not int"),
        ({"kind": None}, "kind: this option is missing"),
        ({"api_version": 1}, "api_version: must be a string, not int"),
        ({"ca_cert": 5}, "ca_cert: must be a string, not int"),
        ({"api_key": ["hush"]}, "api_key: must be a string, not list"),
        ({"namespace": ["default"]}, "namespace: must be a string, not list"),
        ({"namespace": "a/b"}, "namespace: 'a/b' is no name of a namespace"),
        ({"kubeconfig": 5}, "kubeconfig: must be a string or a mapping, not int"),
        ({"lable_selectors": []}, "lable_selectors: there is no such option (did you mean label_selectors?)"),
        ({5: 5}, "5: there is no such option; there are api_key, "),
        ({"label_selectors": [5]}, "label_selectors[0]: must be a string, not int"),
        ({"label_selectors": 5}, "label_selectors: must be a selector, a list of them, or a mapping "),
        ({"label_selectors": ""}, "label_selectors: a selector must not be empty"),
        ({"field_selectors": ["a=b", " "]}, "field_selectors: a selector must not be empty"),
        ({"label_selectors": {"run": True}}, "label_selectors.run: must be a string, not bool"),
        ({"label_selectors": {"run": "a,b"}}, "label_selectors.run: 'a,b' cannot be asked for by a mapping"),
        ({"label_selectors": {5: "a"}}, "label_selectors.5: must be a string, not int"),
    ):
        with pytest.raises(OptionError) as caught:
            eda_args.checked({"kind": "Pod", **wrong}, {})
        assert str(caught.value).startswith(said)
        assert "hush" not in str(caught.value)
    assert eda_args.checked({"kind": "Pod", "eda_feedback_queue": object()}, {}) == {"kind": "Pod"}


def test_the_documented_options_are_those_that_are_taken():
    root = pathlib.Path(eda_args.__file__).parents[3]
    source = root / "extensions" / "eda" / "plugins" / "event_source" / "watch.py"
    documentation = next(
        ast.literal_eval(node.value)
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "DOCUMENTATION"
    )
    assert set(yaml.safe_load(documentation)["options"]) == set(eda_args.NAMES)


@pytest.mark.parametrize("name", ["initial", "reveal", "validate_certs"])
def test_what_a_template_makes_of_a_boolean(name):
    for value in (False, "false", "no", "False", " off ", 0, "0"):
        assert eda_args.checked({"kind": "Pod", name: value}, {})[name] is False
    for value in (True, "true", "Yes", "on", 1, "1"):
        assert eda_args.checked({"kind": "Pod", name: value}, {})[name] is True
    for value in ("", "perhaps", 2, [], ["true"], {}):
        with pytest.raises(OptionError) as caught:
            eda_args.checked({"kind": "Pod", name: value}, {})
        assert str(caught.value) == "%s: must be true or false, not %r" % (name, value)
    assert name not in eda_args.checked({"kind": "Pod", name: None}, {})
