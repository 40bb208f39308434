# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kinds of which a module needs little: config maps, secrets, services, namespaces.

Belongs here: their options as API fields, and their present and absent. Not here: pods and what makes them
(``_pods.spec``), nodes (``nodes``).
"""

from __future__ import annotations

import typing as t

from .._api.client import CONFIG_MAP, NAMESPACE, SECRET, SERVICE, Client, Kind
from .._api.errors import OptionError, WaitError
from .._module.args import Spec, merge, state_spec, wait_spec
from .._module.fields import argument_spec, flag, members, number, port, strings, text, texts, to_api
from .._pods.spec import metadata_spec, metadata_to_api
from .._wait.readiness import until_ready, wait_for_all
from .definition import definition_spec, identified, over
from .diff import Path, whole_at
from .manifest_validation import encoded_secret
from .present import Outcome, absent, definition, everything_mutable, present
from .redaction import without_secrets

Object = t.Dict[str, t.Any]

SERVICE_FIELDS = (
    text("type", "type", choices=("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")),
    members(
        "ports",
        "ports",
        text("name", "name"),
        number("port", "port", required=True),
        text("target_port", "targetPort", convert=port),
        number("node_port", "nodePort"),
        text("protocol", "protocol", choices=("TCP", "UDP", "SCTP")),
        text("app_protocol", "appProtocol"),
        mapping=("name", "port"),
    ),
    text("cluster_ip", "clusterIP"),
    texts("external_ips", "externalIPs"),
    text("external_name", "externalName"),
    text("session_affinity", "sessionAffinity", choices=("None", "ClientIP")),
    text("internal_traffic_policy", "internalTrafficPolicy", choices=("Cluster", "Local")),
    text("external_traffic_policy", "externalTrafficPolicy", choices=("Cluster", "Local")),
    flag("publish_not_ready_addresses", "publishNotReadyAddresses"),
)


def service_spec() -> Spec:
    own = dict(argument_spec(SERVICE_FIELDS), selector={"type": "dict"})
    return merge(definition_spec(), state_spec(), metadata_spec(), wait_spec(), own)


def service(client: Client, params: t.Mapping[str, t.Any]) -> Object:
    params = identified(params, SERVICE)
    name, namespace, timeout = params["name"], params["namespace"], params["wait_timeout"]
    if params["state"] == "absent":
        return absent(client, SERVICE, namespace, name, None, params["wait"], timeout).result("service")
    spec = to_api(SERVICE_FIELDS, params)
    if params["selector"] is not None:
        spec["selector"] = strings(params["selector"], "selector")
    asked = over(params["definition"], definition(SERVICE, name, namespace, metadata_to_api(params), spec))
    whole = whole_at(("spec", "selector"))
    outcome = present(client, SERVICE, asked, _service_fixed, timeout=timeout, wanted=whole)
    waiting = params["wait"] and not client.dry_run
    return outcome.finish("service", (lambda live: _served(client, live, timeout)) if waiting else None)


def _service_fixed(differing: t.List[Path], asked: Object, live: Object) -> t.List[str]:
    """The address of a service is for good."""
    address = live["spec"].get("clusterIP")
    if ("spec", "clusterIP") in differing and address and asked["spec"].get("type") != "ExternalName":
        raise OptionError(
            "cluster_ip", "service %s has the address %s for good" % (asked["metadata"]["name"], address)
        )
    return []


def _served(client: Client, live: Object, timeout: float) -> Object:
    """Waits until at least one pod serves."""
    waited = until_ready(SERVICE, live["metadata"]["namespace"], live, None)
    if waited is not None:
        wait_for_all(client, [waited], timeout)
        if waited.error:
            raise WaitError(waited.error, object=live)
    return live


# -- config maps and secrets


def data_spec(**own: t.Any) -> Spec:
    more = dict(own, immutable={"type": "bool"}, recreate={"type": "bool", "default": False})
    return merge(definition_spec(), state_spec(), metadata_spec(), wait_spec(), more)


def config_map(client: Client, params: t.Mapping[str, t.Any]) -> Object:
    body: Object = {}
    if params["data"] is not None:
        body["data"] = strings(params["data"], "data")
    if params["binary_data"] is not None:
        body["binaryData"] = strings(params["binary_data"], "binary_data")
    return _data(client, CONFIG_MAP, params, body, "config_map", [("data",), ("binaryData",)])


def secret(client: Client, params: t.Mapping[str, t.Any]) -> Object:
    body: Object = {}
    if params["data"] is not None or params["string_data"] is not None:
        body["data"] = strings(params["data"] or {}, "data")
        body["stringData"] = strings(params["string_data"] or {}, "string_data")
        both = sorted(set(body["data"]) & set(body["stringData"]))
        if both:
            raise OptionError("string_data", "%s comes in data too" % ", ".join(both))
    if params["type"] is not None:
        body["type"] = params["type"]
    encoded = encoded_secret(dict(body, kind="Secret"))
    result = _data(client, SECRET, params, encoded, "secret", [("data",)])
    result["secret"] = without_secrets(result["secret"])
    before = result["diff"]["before"]
    after = without_secrets(result["diff"]["after"], before)
    result["diff"] = dict(result["diff"], before=without_secrets(before), after=after)
    return result


def _data(
    client: Client,
    kind: Kind,
    params: t.Mapping[str, t.Any],
    body: Object,
    key: str,
    whole: t.Sequence[Path],
) -> Object:
    params = identified(params, kind)
    name, namespace, timeout = params["name"], params["namespace"], params["wait_timeout"]
    if params["state"] == "absent":
        return absent(client, kind, namespace, name, None, params["wait"], timeout).result(key)
    if params["immutable"] is not None:
        body = dict(body, immutable=params["immutable"])
    body = {part: value for part, value in body.items() if part != "kind"}
    asked = over(
        params["definition"], definition(kind, name, namespace, metadata_to_api(params), None, **body)
    )
    wanted = whole_at(*whole)
    return present(client, kind, asked, _data_fixed, params["recreate"], timeout, wanted=wanted).result(key)


def _data_fixed(differing: t.List[Path], asked: Object, live: Object) -> t.List[str]:
    """What is immutable keeps all of its data; a secret keeps its type."""
    fixed = {"type"} if live["kind"] == "Secret" else set()
    if live.get("immutable"):
        fixed |= {"data", "binaryData", "immutable"}
    names = {"binaryData": "binary_data"}
    return sorted({names.get(path[0], path[0]) for path in differing if path[0] in fixed})


# -- namespaces


def namespace_spec() -> Spec:
    return merge(definition_spec(namespaced=False), state_spec(), metadata_spec(), wait_spec())


def namespace(client: Client, params: t.Mapping[str, t.Any]) -> Object:
    params = identified(params, NAMESPACE)
    name, timeout = params["name"], params["wait_timeout"]
    if params["state"] == "absent":
        return absent(client, NAMESPACE, None, name, None, params["wait"], timeout).result("namespace")
    asked = over(params["definition"], definition(NAMESPACE, name, None, metadata_to_api(params), None))
    outcome: Outcome = present(client, NAMESPACE, asked, everything_mutable, timeout=timeout)
    return outcome.result("namespace")
