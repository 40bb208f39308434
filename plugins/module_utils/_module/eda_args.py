# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Arguments of the event source: ansible-rulebook hands them over as they are written, without types.

Belongs here: what the argument spec does for a module. Not here: any talk with the cluster. Nothing of
Ansible's is imported: it may be missing where rulebooks run.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._api.errors import OptionError
from .unknown_options import hold_known

Arguments = t.Dict[str, t.Any]
#: The words of ansible.module_utils.parsing.convert_bool.
TRUE = ("y", "yes", "on", "1", "true", "t")
FALSE = ("n", "no", "off", "0", "false", "f")
#: What is asked of the environment where an option is not given: the fallbacks of args.auth_spec.
ENVIRONMENT = {
    "kubeconfig": "K8S_AUTH_KUBECONFIG",
    "context": "K8S_AUTH_CONTEXT",
    "host": "K8S_AUTH_HOST",
    "api_key": "K8S_AUTH_API_KEY",
    "ca_cert": "K8S_AUTH_SSL_CA_CERT",
    "client_cert": "K8S_AUTH_CERT_FILE",
    "client_key": "K8S_AUTH_KEY_FILE",
    "validate_certs": "K8S_AUTH_VERIFY_SSL",
    "proxy": "K8S_AUTH_PROXY",
}
_BOOLEANS = ("initial", "reveal", "validate_certs")
_STRINGS = (
    *("kind", "api_version", "namespace", "context", "host"),
    *("api_key", "ca_cert", "client_cert", "client_key", "proxy"),
)
_SELECTORS = ("label_selectors", "field_selectors")
NAMES = (*_STRINGS, *_BOOLEANS, *_SELECTORS, "kubeconfig")
#: What ansible-rulebook puts among the arguments itself, such as eda_feedback_queue.
_OF_RULEBOOKS = "eda_"
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
#: What may stand on either side of the equality that a mapping asks for.
_PLAIN = re.compile(r"[^\s,=!()]*")


def checked(args: t.Mapping[str, t.Any], environ: t.Mapping[str, str] | None = None) -> Arguments:
    """The arguments with the types that they should have. A template in a rulebook may make a text of any."""
    hold_known([name for name in args if not str(name).startswith(_OF_RULEBOOKS)], NAMES)
    found = {name: args[name] for name in NAMES if args.get(name) is not None}
    if found.get("kind", "") == "":
        raise OptionError("kind", "this option is missing")
    env: t.Mapping[str, str] = os.environ if environ is None else environ
    for name, variable in ENVIRONMENT.items():
        if name not in found and env.get(variable):
            found[name] = env[variable]
    for names, check in ((_BOOLEANS, _boolean), (_STRINGS, _string), (_SELECTORS, _selectors)):
        for name in names:
            if name in found:
                found[name] = check(name, found[name])
    if found.get("namespace") and not _NAMESPACE.fullmatch(found["namespace"]):
        raise OptionError("namespace", "%r is no name of a namespace" % found["namespace"])
    if not isinstance(found.get("kubeconfig", ""), (str, dict)):
        raise OptionError("kubeconfig", "must be a string or a mapping, not %s" % _type(found["kubeconfig"]))
    return found


def _string(name: str, value: t.Any) -> str:
    if not isinstance(value, str):  # which is not told: it may be a token
        raise OptionError(name, "must be a string, not %s" % _type(value))
    return value


def _selectors(name: str, value: t.Any) -> list[str]:
    """Selectors, all of which must match: one or a list of them, or what must be equal, as a mapping."""
    if isinstance(value, dict):
        return [_equality(name, key, wanted) for key, wanted in value.items()]
    if not isinstance(value, (str, list)):
        raise OptionError(
            name,
            "must be a selector, a list of them, or a mapping of what must be equal, not %s" % _type(value),
        )
    selectors = [value] if isinstance(value, str) else value
    for at, one in enumerate(selectors):
        if not _string("%s[%d]" % (name, at), one).strip():
            raise OptionError(name, "a selector must not be empty: it would match everything")
    return selectors


def _equality(name: str, key: t.Any, wanted: t.Any) -> str:
    option = "%s.%s" % (name, key)
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        wanted = str(wanted)
    if not (_PLAIN.fullmatch(_string(option, key)) and _PLAIN.fullmatch(_string(option, wanted)) and key):
        raise OptionError(option, "%r cannot be asked for by a mapping: write a selector" % wanted)
    return "%s=%s" % (key, wanted)


def _type(value: t.Any) -> str:
    return type(value).__name__


def _boolean(name: str, value: t.Any) -> bool:
    word = str(value).strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise OptionError(name, "must be true or false, not %r" % (value,))
