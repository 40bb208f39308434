# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the cluster is and who we are: options, then environment, then kubeconfig, then the pod we run in.

Belongs here: turning all of that into one ``Connection``. Not here: any talk with the cluster, and getting
credentials from somewhere else (``credentials``).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import typing as t
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from . import yaml_text
from .credentials import Source
from .errors import ClusterError, OptionError

_HOST = re.compile(r"^[\w.:%-]+$", re.ASCII)
#: All but printable ASCII, said in the way that is compiled quickly: each task would wait for it.
_UNSAFE = re.compile(r"[^!-~]|[?#\\]")
_WORD = re.compile(r"[^\s\"',:{}\[\]]+")
#: How the keys of a user end whose values are secret: token, id-token, password, client-key-data ...
_SECRET = ("token", "password", "secret", "key-data")
CONTENT = "(the content of a kubeconfig)"
IN_POD = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class Connection:
    """All that a client needs. Certificates and keys are PEM text; ``ca`` None means the system's
    authorities.
    """

    server: str
    token: str | None = None
    token_file: str | None = None
    username: str | None = None
    password: str | None = None
    ca: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None
    origin: str = "host"
    source: Source | None = None  # of further credentials, which are got when they are needed
    impersonate: tuple[tuple[str, str], ...] = ()  # headers that ask to act as somebody else

    def __repr__(self) -> str:  # a traceback shows reprs: no credentials in it
        return "Connection(%s, from %s)" % (self.server, self.origin)


def connect_params(params: t.Mapping[str, t.Any], environ: t.Mapping[str, str] | None = None) -> Connection:
    """The connection that a task's options ask for. ``params``: the options of the ``auth`` doc fragment."""
    env: t.Mapping[str, str] = os.environ if environ is None else environ
    base = _base(params, env)
    changes: dict[str, t.Any] = {}
    if params.get("host"):
        changes.update(server=_server(params["host"], "host"), origin="host")
    if params.get("api_key"):  # what is given here is who we are, not what a kubeconfig has besides
        changes.update(
            token=params["api_key"],
            token_file=None,
            username=None,
            client_cert=None,
            client_key=None,
            source=None,
            impersonate=(),
        )
    elif params.get("client_cert"):
        changes.update(token=None, token_file=None, username=None, source=None, impersonate=())
    if params.get("validate_certs") is not None:
        changes["verify"] = bool(params["validate_certs"])
    if params.get("proxy"):
        changes["proxy"] = _proxy(params["proxy"], "proxy")
    for option, field in (("ca_cert", "ca"), ("client_cert", "client_cert"), ("client_key", "client_key")):
        if params.get(option):
            changes[field] = _read(params[option], option)
    made = replace(base, **changes)
    if not made.server:
        raise OptionError(
            "kubeconfig",
            "no cluster is named: set kubeconfig or host (or K8S_AUTH_KUBECONFIG, KUBECONFIG, K8S_AUTH_HOST)",
        )
    if made.token and not (made.token.isascii() and made.token.isprintable()):
        option = "api_key" if params.get("api_key") else "kubeconfig"
        raise OptionError(option, "the token holds characters that no token has")
    if bool(made.client_cert) != bool(made.client_key):
        lacking = "client_key" if made.client_cert else "client_cert"
        raise OptionError(lacking, "client_cert and client_key belong together; this one is missing")
    return made


def secrets(params: t.Mapping[str, t.Any]) -> set[str]:
    """What is secret in a kubeconfig whose content is given instead of a path: it must not be shown."""
    given = params.get("kubeconfig")
    if not _is_text(given):
        return _secrets_in(given.get("users")) if isinstance(given, dict) else set()
    try:
        return {given.strip()} | secrets({"kubeconfig": _parse(given, "kubeconfig")})
    except ClusterError:  # nobody knows what in it is secret
        return {given.strip()} | {word for word in _WORD.findall(given) if len(word) > 7}


def shown(params: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """A task's options as they may be shown with its result."""
    given = params.get("kubeconfig")
    return dict(params, kubeconfig=CONTENT) if isinstance(given, dict) or _is_text(given) else params


def _is_text(given: t.Any) -> bool:
    """Whether an option is the content of a kubeconfig as YAML or JSON, and no path."""
    return isinstance(given, str) and (given.lstrip().startswith("{") or "\n" in given.strip())


def _secrets_in(value: t.Any) -> set[str]:
    if isinstance(value, list):
        return {text for part in value for text in _secrets_in(part)}
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, item in value.items():
        if isinstance(item, (dict, list)):
            found |= _secrets_in(item)
        elif item and str(key).lower().endswith(_SECRET):
            found.add(str(item))
    run = value.get("exec")
    env = run.get("env") if isinstance(run, dict) else None
    for one in env if isinstance(env, list) else []:  # an access key, or a region: their names do not tell
        if isinstance(one, dict) and len(str(one.get("value") or "")) > 7:
            found.add(str(one["value"]))
    return found


def _base(params: t.Mapping[str, t.Any], env: t.Mapping[str, str]) -> Connection:
    given = params.get("kubeconfig")
    context = params.get("context")
    if _is_text(given):
        given = _parse(given, "kubeconfig")
    if isinstance(given, dict):
        return from_kubeconfig(given, context, "kubeconfig", os.getcwd())
    if given:
        return _load([os.path.expanduser(str(given))], context, "kubeconfig")
    if params.get("host") and not context:
        return Connection(server="")
    if env.get("KUBECONFIG"):
        paths = [os.path.expanduser(p) for p in env["KUBECONFIG"].split(os.pathsep) if p]
        return _load(paths, context, "KUBECONFIG")
    home = os.path.expanduser("~/.kube/config")
    if os.path.isfile(home):
        return _load([home], context, "kubeconfig")
    if env.get("KUBERNETES_SERVICE_HOST") and os.path.isfile(IN_POD + "/token"):
        address, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT", "443")
        address = "[%s]" % address if ":" in address else address
        return Connection(
            server="https://%s:%s" % (address, port),
            token_file=IN_POD + "/token",
            ca=_read(IN_POD + "/ca.crt", "ca_cert"),
            origin="the service account of this pod",
        )
    if context:
        raise OptionError("context", "there is no kubeconfig to look %s up in" % context)
    return Connection(server="")


def _load(paths: list[str], context: str | None, option: str) -> Connection:
    merged: dict[str, t.Any] = {}
    folder = ""
    found = [p for p in paths if os.path.exists(p)]
    if not found:
        raise OptionError(option, "there is no file %s" % os.pathsep.join(paths))
    for path in found:
        content = _parse(read_file(path, option), "%s %s" % (option, path))
        path = os.path.abspath(path)
        folder = os.path.dirname(path)
        for part in ("clusters", "users", "contexts"):  # the first file that names a thing wins
            have = {item.get("name") for item in merged.setdefault(part, [])}
            for item in _named(content.get(part), part, option):
                if item["name"] not in have:
                    merged[part].append(dict(item, _folder=folder, _path=path))
        merged.setdefault("current-context", content.get("current-context"))
        merged["current-context"] = merged["current-context"] or content.get("current-context")
    return from_kubeconfig(merged, context, option, folder, found[0])


def from_kubeconfig(
    content: dict[str, t.Any], context: str | None, option: str, folder: str, path: str = ""
) -> Connection:
    """The connection of one context of a kubeconfig's content. Relative paths in it start at ``folder``."""
    where = "%s %s" % (option, path) if path else option
    name = context or content.get("current-context")
    if not name:
        contexts = [item["name"] for item in _named(content.get("contexts"), "contexts", option)]
        raise OptionError(
            "context", "%s has no current-context; it has %s" % (where, ", ".join(contexts) or "none")
        )
    chosen, _unused = _find(content, "contexts", name, "context", where, folder)
    cluster, cluster_folder = _find(content, "clusters", chosen.get("cluster"), "cluster", where, folder)
    user: dict[str, t.Any] = {}
    user_folder = folder
    if chosen.get("user"):
        user, user_folder = _find(content, "users", chosen["user"], "user", where, folder)
    token_file = user.get("tokenFile") if not user.get("token") else None
    return Connection(
        server=_server(cluster.get("server"), "%s, cluster %s" % (where, chosen.get("cluster"))),
        token=_text(user.get("token")),
        token_file=os.path.join(user_folder, str(token_file)) if token_file else None,
        username=_text(user.get("username")),
        password=_text(user.get("password")),
        ca=_pem(cluster, "certificate-authority", cluster_folder, where),
        client_cert=_pem(user, "client-certificate", user_folder, where),
        client_key=_pem(user, "client-key", user_folder, where),
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=_text(cluster.get("tls-server-name")),
        proxy=_proxy(cluster.get("proxy-url"), "%s, proxy-url" % where),
        origin="%s, context %s" % (where, name),
        source=_source(content, chosen.get("user"), user, user_folder, cluster, where),
        impersonate=_impersonate(user, "%s, user %s" % (where, chosen.get("user"))),
    )


def _impersonate(user: dict[str, t.Any], where: str) -> tuple[tuple[str, str], ...]:
    if not any(key in user for key in ("as", "as-uid", "as-groups", "as-user-extra")):
        return ()
    from . import impersonation  # which few tasks need

    return impersonation.headers(user, where)


def _source(
    content: dict[str, t.Any],
    name: t.Any,
    user: dict[str, t.Any],
    folder: str,
    cluster: dict[str, t.Any],
    where: str,
) -> Source | None:
    """What gives out the user's credentials. A token or password that stands in the kubeconfig goes before,
    as in kubectl.
    """
    run, provider = user.get("exec"), user.get("auth-provider")
    if run and provider:
        raise OptionError(where, "user %s has both exec and auth-provider; one of them can be" % name)
    if (not run and not provider) or any(user.get(key) for key in ("token", "tokenFile", "username")):
        return None
    where = "%s, user %s" % (where, name)
    if run:
        from . import credentials_exec  # which few tasks need

        return credentials_exec.from_user(run, cluster, folder, where)
    from . import credentials_oidc

    config = provider.get("config") if isinstance(provider, dict) else None
    ca = _pem(config, "idp-certificate-authority", folder, where) if isinstance(config, dict) else None
    path = next((item.get("_path", "") for item in content["users"] if item["name"] == name), "")
    return credentials_oidc.from_user(provider, str(name), path, ca, where)


def _find(
    content: dict[str, t.Any], part: str, name: t.Any, singular: str, where: str, folder: str
) -> tuple[dict[str, t.Any], str]:
    items = _named(content.get(part), part, where)
    for item in items:
        if item["name"] == name:
            found = item.get(singular) or {}
            if not isinstance(found, dict):
                raise OptionError(where, "%s %s is not a mapping: not a kubeconfig" % (singular, name))
            return found, item.get("_folder", folder)
    known = ", ".join(str(item["name"]) for item in items) or "none"
    raise OptionError(
        "context" if part == "contexts" else where,
        "no %s %s in %s; there: %s" % (singular, name, where, known),
    )


def _named(items: t.Any, part: str, where: str) -> list[dict[str, t.Any]]:
    if items is None:
        return []
    if not isinstance(items, list) or any(not isinstance(i, dict) or not i.get("name") for i in items):
        raise OptionError(where, "%s is not a list of named entries: not a kubeconfig" % part)
    return items


def _server(value: t.Any, where: str) -> str:
    text = str(value or "").rstrip("/")
    if text and "://" not in text:
        text = "https://" + text
    if not _is_address(text):
        raise OptionError(where, "%r is not the address of a cluster (https://HOST:PORT)" % (value,))
    return text


def _proxy(value: t.Any, where: str) -> str | None:
    if value and not _is_address(str(value)):
        raise OptionError(where, "%r is not the address of an HTTP proxy (http://HOST:PORT)" % (value,))
    return str(value) if value else None


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("https", "http")
            and bool(_HOST.match(parts.hostname or ""))
            and parts.port != 0
            and not _UNSAFE.search(text)
        )
    except ValueError:
        return False


def _text(value: t.Any) -> str | None:
    return None if value is None else str(value)


def _pem(entry: dict[str, t.Any], key: str, folder: str, where: str) -> str | None:
    if entry.get(key + "-data"):
        try:
            return base64.b64decode(entry[key + "-data"], validate=False).decode("utf-8")
        except (binascii.Error, ValueError, TypeError):
            raise OptionError(where, "%s-data is not base64" % key) from None
    if entry.get(key):
        return read_file(os.path.join(folder, os.path.expanduser(str(entry[key]))), "%s, %s" % (where, key))
    return None


def _read(value: str, option: str) -> str:
    """An option that is a path, or the PEM text itself."""
    return value if "-----BEGIN" in value else read_file(os.path.expanduser(value), option)


def read_file(path: str, option: str) -> str:
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except (OSError, ValueError) as problem:  # ValueError: bytes that are no text, or no path
        said = problem.strerror if isinstance(problem, OSError) else "not text"
        raise OptionError(option, "cannot read %s: %s" % (path, said)) from None


def _parse(text: str, where: str) -> dict[str, t.Any]:
    found = yaml_text.documents(text, where)
    content = found[0] if len(found) == 1 else None
    if not isinstance(content, dict):
        raise OptionError(where, "not a kubeconfig")
    return content
