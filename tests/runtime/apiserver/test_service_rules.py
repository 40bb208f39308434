# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real server says to services that cannot be: one Status that names the field and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from apiserver_support import Http

HTTP = {"name": "http", "port": 80}
PORTS = {"ports": [HTTP]}
RANGE = "The range of valid ports is 30000-32767"
BALANCED = {**PORTS, "type": "LoadBalancer"}


async def make(http: Http, namespace: str, name: str, spec: dict[str, Any]) -> tuple[int, Any]:
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    return await http("POST", f"/api/v1/namespaces/{namespace}/services", json=body)


def refusal(answer: tuple[int, Any]) -> str:
    """`FIELD: MESSAGE` of the only cause."""
    code, status = answer
    assert code == 422, status
    assert status["kind"] == "Status" and status["reason"] == "Invalid"
    assert "\n" not in status["message"]
    (cause,) = status["details"]["causes"]
    assert cause["field"] in status["message"]
    return f"{cause['field']}: {cause['message']}"


@pytest.mark.parametrize(
    ("spec", "field", "detail"),
    [
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            "spec.ports[0].nodePort",
            f"Invalid value: 80: provided port is not in the valid range. {RANGE}",
        ),
        (
            {"ports": [{"port": 80, "nodePort": 30080}]},
            "spec.ports[0].nodePort",
            "Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        ({**PORTS, "clusterIP": "192.0.2.1"}, "spec.clusterIPs", "the provided IP (192.0.2.1) is not in"),
        ({**PORTS, "clusterIP": "10.96.0.300"}, "spec.clusterIPs[0]", "must be a valid IP address"),
        (
            {**PORTS, "clusterIP": "None", "type": "NodePort"},
            "spec.clusterIPs[0]",
            "may not be set to 'None' for NodePort services",
        ),
        ({}, "spec.ports", "Required value"),
        ({"ports": [HTTP, {"port": 81}]}, "spec.ports[1].name", "Required value"),
        ({"ports": [HTTP, {"name": "http", "port": 81}]}, "spec.ports[1].name", 'Duplicate value: "http"'),
        ({"ports": [HTTP, {"name": "b", "port": 80}]}, "spec.ports[1]", "Duplicate value"),
        (
            {"ports": [{"port": 70000, "targetPort": 80}]},
            "spec.ports[0].port",
            "must be between 1 and 65535, inclusive",
        ),
        (
            {"ports": [{"port": 80, "protocol": "ICMP"}]},
            "spec.ports[0].protocol",
            'Unsupported value: "ICMP"',
        ),
        ({"ports": [{"port": 80, "targetPort": "a_b"}]}, "spec.ports[0].targetPort", "Invalid value"),
        (
            {"type": "ExternalName", "externalName": "no host!"},
            "spec.externalName",
            'Invalid value: "no host!"',
        ),
        ({"type": "ExternalName"}, "spec.externalName", "Required value"),
        ({**PORTS, "externalIPs": ["127.0.0.1"]}, "spec.externalIPs[0]", "may not be in the loopback range"),
        (
            {**PORTS, "externalIPs": ["169.254.20.10"]},
            "spec.externalIPs[0]",
            "may not be in the link-local range",
        ),
        ({**PORTS, "externalIPs": ["0.0.0.0"]}, "spec.externalIPs[0]", "may not be unspecified"),
        ({**PORTS, "externalIPs": ["one"]}, "spec.externalIPs[0]", "must be a valid IP address"),
        (
            {**PORTS, "ipFamilyPolicy": "RequireDualStack"},
            "spec.ipFamilyPolicy",
            "this cluster is not configured for dual-stack services",
        ),
        ({**PORTS, "ipFamilies": ["IPv6"]}, "spec.ipFamilies[0]", "not configured on this cluster"),
        ({**PORTS, "type": "Balancer"}, "spec.type", 'Unsupported value: "Balancer"'),
        ({**PORTS, "sessionAffinity": "Cookie"}, "spec.sessionAffinity", 'Unsupported value: "Cookie"'),
        (
            {
                **PORTS,
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 90000}},
            },
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            "must be greater than 0 and less than 86400",
        ),
        (
            {**PORTS, "externalTrafficPolicy": "Local"},
            "spec.externalTrafficPolicy",
            "may only be set for externally-accessible services",
        ),
        ({**PORTS, "internalTrafficPolicy": "Far"}, "spec.internalTrafficPolicy", 'Unsupported value: "Far"'),
        ({**PORTS, "trafficDistribution": "Far"}, "spec.trafficDistribution", 'Unsupported value: "Far"'),
        (
            {**BALANCED, "loadBalancerSourceRanges": ["10.0.0.0/40"]},
            "spec.loadBalancerSourceRanges[0]",
            "must be a valid CIDR value",
        ),
        (
            {**PORTS, "loadBalancerSourceRanges": ["10.0.0.0/8"]},
            "spec.loadBalancerSourceRanges",
            "may only be used when `type` is 'LoadBalancer'",
        ),
        (
            {**BALANCED, "healthCheckNodePort": 30001},
            "spec.healthCheckNodePort",
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
        (
            {**BALANCED, "externalTrafficPolicy": "Local", "healthCheckNodePort": 81},
            "spec.healthCheckNodePort",
            f"provided port is not in the valid range. {RANGE}",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("spec") else "",
)
async def test_a_service_that_cannot_be_is_refused(
    http: Http, namespace: str, spec: dict[str, Any], field: str, detail: str
) -> None:
    said = refusal(await make(http, namespace, "bad", spec))
    assert said.startswith(f"{field}: ")
    assert detail in said


async def test_what_is_taken_is_refused_and_free_again_when_its_owner_goes(
    http: Http, namespace: str
) -> None:
    code, first = await make(http, namespace, "first", {**PORTS, "type": "NodePort"})
    assert code == 201
    address, port = first["spec"]["clusterIP"], first["spec"]["ports"][0]["nodePort"]
    same_port = {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}
    assert refusal(await make(http, namespace, "second", same_port)) == (
        f"spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"
    )
    said = refusal(await make(http, namespace, "second", {**PORTS, "clusterIP": address}))
    assert said.startswith("spec.clusterIPs: ")
    assert f"failed to allocate IP {address}: provided IP is already allocated" in said
    health = {**BALANCED, "externalTrafficPolicy": "Local", "healthCheckNodePort": port}
    assert "provided port is already allocated" in refusal(await make(http, namespace, "second", health))
    assert (await http("DELETE", f"/api/v1/namespaces/{namespace}/services/first"))[0] == 200
    code, second = await make(http, namespace, "second", {**same_port, "clusterIP": address})
    assert (code, second["spec"]["clusterIP"]) == (201, address)


async def test_what_was_given_out_does_not_change(http: Http, namespace: str) -> None:
    spec = {**BALANCED, "externalTrafficPolicy": "Local"}
    code, made = await make(http, namespace, "web", spec)
    assert code == 201
    health = made["spec"]["healthCheckNodePort"]
    assert 30000 <= health <= 32767
    path = f"/api/v1/namespaces/{namespace}/services/web"
    merge = {"Content-Type": "application/merge-patch+json"}

    async def patch(**spec: Any) -> tuple[int, Any]:
        return await http("PATCH", path, json={"spec": spec}, headers=merge)

    said = refusal(await patch(clusterIP="10.96.0.9"))
    assert said == 'spec.clusterIPs[0]: Invalid value: "10.96.0.9": may not change once set'
    assert refusal(await patch(clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"])) == said
    other = 30000 if health != 30000 else 30001
    assert refusal(await patch(healthCheckNodePort=other)) == (
        f"spec.healthCheckNodePort: Invalid value: {other}: field is immutable"
    )
    code, changed = await patch(type="ClusterIP", externalTrafficPolicy=None)
    assert code == 200, changed
    assert "healthCheckNodePort" not in changed["spec"]
    assert "nodePort" not in changed["spec"]["ports"][0]
    assert changed["spec"]["clusterIP"] == made["spec"]["clusterIP"]


async def test_a_status_that_cannot_be_is_refused(http: Http, namespace: str) -> None:
    assert (await make(http, namespace, "web", BALANCED))[0] == 201
    path = f"/api/v1/namespaces/{namespace}/services/web/status"
    merge = {"Content-Type": "application/merge-patch+json"}

    async def put(**ingress: str) -> tuple[int, Any]:
        body = {"status": {"loadBalancer": {"ingress": [ingress]}}}
        return await http("PATCH", path, json=body, headers=merge)

    start = "status.loadBalancer.ingress[0]"
    assert refusal(await put(ip="one")).startswith(f"{start}.ip: ")
    assert refusal(await put(ip="192.0.2.1", ipMode="Both")).startswith(f"{start}.ipMode: ")
    assert refusal(await put(hostname="192.0.2.1")).startswith(f"{start}.hostname: ")
    code, changed = await put(ip="192.0.2.1", ipMode="VIP")
    assert (code, changed["status"]["loadBalancer"]["ingress"][0]["ip"]) == (200, "192.0.2.1")


async def test_endpoints_that_no_other_host_reaches_are_refused(http: Http, namespace: str) -> None:
    for ip in ("127.0.0.1", "169.254.20.10", "0.0.0.0", "224.0.0.1"):
        body = {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "bad"},
            "subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": 80}]}],
        }
        answer = await http("POST", f"/api/v1/namespaces/{namespace}/endpoints", json=body)
        assert refusal(answer).startswith("subsets[0].addresses[0].ip: Invalid value"), ip


async def test_what_only_belonged_to_what_a_service_was_goes_with_it(http: Http, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/services/web"
    merge = {"Content-Type": "application/merge-patch+json"}
    spec = {**PORTS, "externalIPs": ["192.0.2.1"], "sessionAffinity": "ClientIP"}
    code, made = await make(http, namespace, "web", spec)
    assert code == 201
    assert made["spec"]["externalTrafficPolicy"] == "Cluster"
    assert made["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    for change in ({"externalIPs": []}, {"sessionAffinity": "None"}):
        code, changed = await http("PATCH", path, json={"spec": change}, headers=merge)
        assert code == 200, changed
    assert not {"externalTrafficPolicy", "sessionAffinityConfig"} & changed["spec"].keys()


async def test_a_replacement_of_what_is_not_there_makes_it(http: Http, namespace: str) -> None:
    """So it is for services and endpoints in the reference."""
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "new"}, "spec": PORTS}
    path = f"/api/v1/namespaces/{namespace}/services/new"
    code, made = await http("PUT", path, json=body)
    assert code == 201, made
    assert made["spec"]["clusterIP"]
    code, again = await http("PUT", path, json=made)
    assert (code, again) == (200, made)
