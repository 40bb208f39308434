# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of pods: what is filled in, what is refused with which path, what may change, grace periods."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from navarch.api.core.pod import validation as pod_validation
from navarch.api.core.pod.pod import POD, Pod
from navarch.api.core.pod.spec import PodTemplateSpec
from navarch.api.core.pod.status import PodStatus
from navarch.api.machinery import protobuf

RULES = POD.rules


def pod(spec: dict[str, Any] | None = None, **container: Any) -> Pod:
    """A pod with one container, `spec` and the container's fields laid over it."""
    body = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27", **container}], **(spec or {})},
    }
    return msgspec.convert(body, Pod)


def wire(obj: Any) -> Any:
    return msgspec.to_builtins(obj)


def errors(obj: Pod) -> set[tuple[str, str]]:
    return {(e.path, e.type.removeprefix("FieldValue")) for e in RULES.validate(RULES.default(obj))}


# Defaults


def test_a_bare_pod_gets_what_the_reference_fills_in() -> None:
    found = wire(RULES.prepare_create(RULES.default(pod())))
    assert found["spec"] == {
        "containers": [
            {
                "name": "web",
                "image": "nginx:1.27",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }
    assert found["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry.example:5000/nginx", "Always"),
        ("registry.example:5000/nginx:v1", "IfNotPresent"),
        ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
    ],
)
def test_the_tag_decides_when_an_image_is_pulled(image: str, policy: str) -> None:
    obj = RULES.default(pod(image=image))
    assert obj.spec is not None
    assert obj.spec.containers[0].image_pull_policy == policy


def test_empty_strings_count_as_absent() -> None:
    """Typed clients send them for fields that were not set."""
    obj = RULES.default(pod({"restartPolicy": "", "dnsPolicy": "", "schedulerName": ""}, imagePullPolicy=""))
    assert obj == RULES.default(pod())


def test_requests_follow_limits_and_amounts_are_canonical() -> None:
    obj = RULES.default(
        pod(resources={"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "0.1"}})
    )
    assert obj.spec is not None
    assert wire(obj.spec.containers[0].resources) == {
        "limits": {"cpu": "500m", "memory": "1Gi"},
        "requests": {"cpu": "100m", "memory": "1Gi"},
    }


def test_probes_ports_and_sources_are_filled_in() -> None:
    obj = RULES.default(
        pod(
            {
                "hostNetwork": True,
                "volumes": [
                    {"name": "a"},
                    {"name": "b", "configMap": {"name": "c"}},
                    {"name": "d", "hostPath": {"path": "/x"}},
                    {"name": "e", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
                ],
            },
            ports=[{"containerPort": 80}],
            env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            livenessProbe={"httpGet": {"port": 80}},
            readinessProbe={"exec": {"command": ["true"]}, "periodSeconds": 2},
        )
    )
    spec = wire(obj.spec)
    container = spec["containers"][0]
    assert container["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert container["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container["readinessProbe"]["periodSeconds"] == 2
    assert spec["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "c", "defaultMode": 420}},
        {"name": "d", "hostPath": {"path": "/x", "type": ""}},
        {
            "name": "e",
            "projected": {
                "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                "defaultMode": 420,
            },
        },
    ]


def test_both_names_of_the_service_account_agree() -> None:
    for given_name in ("serviceAccountName", "serviceAccount"):
        spec = RULES.default(pod({given_name: "robot"})).spec
        assert spec is not None
        assert (spec.service_account_name, spec.service_account) == ("robot", "robot")


def test_pod_level_requests_are_the_containers_or_the_limits() -> None:
    spec = RULES.default(
        pod({"resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}, resources={"requests": {"cpu": "500m"}})
    ).spec
    assert spec is not None
    assert wire(spec.resources)["requests"] == {"cpu": "500m", "memory": "1Gi"}


AMOUNTS = st.one_of(st.integers(0, 10**6), st.sampled_from(["100m", "0.5", "1024Mi", "1e3", "1Gi", ".5k"]))
RESOURCES = st.dictionaries(st.sampled_from(["cpu", "memory", "example.org/gpu"]), AMOUNTS, max_size=3)
CONTAINERS = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from(["a", "a:b", "a/b@sha256:0"]),
        "resources": st.fixed_dictionaries({}, optional={"limits": RESOURCES, "requests": RESOURCES}),
        "ports": st.lists(st.fixed_dictionaries({"containerPort": st.integers(1, 65535)}), max_size=2),
        "livenessProbe": st.sampled_from(
            [{"tcpSocket": {"port": 1}}, {"httpGet": {"port": "a"}}, {"grpc": {"port": 1}}]
        ),
        "lifecycle": st.just({"preStop": {"httpGet": {"port": 1}}}),
    },
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "hostNetwork": st.booleans(),
        "resources": st.fixed_dictionaries({}, optional={"limits": RESOURCES, "requests": RESOURCES}),
        "volumes": st.lists(
            st.sampled_from(
                [{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "c", "rbd": {}}]
            )
        ),
    },
)


@given(SPECS, CONTAINERS)
def test_defaulting_twice_changes_nothing_more(spec: dict[str, Any], container: dict[str, Any]) -> None:
    once = RULES.default(pod(spec, **container))
    assert RULES.default(once) is once
    again = POD.decode(POD.encode(once))
    assert POD.encode(RULES.default(again)) == POD.encode(once)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "0"}}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"example.org/gpu": "1"}}, "BestEffort"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], expected: str) -> None:
    status = RULES.prepare_create(RULES.default(pod(resources=resources))).status
    assert status is not None
    assert status.qos_class == expected


def test_two_unlike_containers_are_burstable() -> None:
    full = {"limits": {"cpu": "1", "memory": "1Gi"}}
    obj = pod({"initContainers": [{"name": "i", "image": "i"}]}, resources=full)
    status = RULES.prepare_create(RULES.default(obj)).status
    assert status is not None
    assert status.qos_class == "Burstable"


# Validation

C = "spec.containers[0]"
WRONG: list[tuple[str, Pod, set[tuple[str, str]]]] = [
    ("no containers", pod({"containers": []}), {("spec.containers", "Required")}),
    ("no image", pod(image=""), {(f"{C}.image", "Required")}),
    ("blank image", pod(image=" a"), {(f"{C}.image", "Invalid")}),
    ("name", pod(name="Web"), {(f"{C}.name", "Invalid")}),
    ("no name", pod(name=""), {(f"{C}.name", "Required")}),
    ("pull policy", pod(imagePullPolicy="Often"), {(f"{C}.imagePullPolicy", "NotSupported")}),
    ("restart policy", pod({"restartPolicy": "Maybe"}), {("spec.restartPolicy", "NotSupported")}),
    ("dns policy", pod({"dnsPolicy": "Maybe"}), {("spec.dnsPolicy", "NotSupported")}),
    ("port", pod(ports=[{"containerPort": 70000}]), {(f"{C}.ports[0].containerPort", "Invalid")}),
    ("no port", pod(ports=[{}]), {(f"{C}.ports[0].containerPort", "Required")}),
    (
        "protocol",
        pod(ports=[{"containerPort": 1, "protocol": "ICMP"}]),
        {(f"{C}.ports[0].protocol", "NotSupported")},
    ),
    ("port name", pod(ports=[{"containerPort": 1, "name": "1"}]), {(f"{C}.ports[0].name", "Invalid")}),
    (
        "host port",
        pod({"hostNetwork": True}, ports=[{"containerPort": 1, "hostPort": 2}]),
        {(f"{C}.ports[0].hostPort", "Invalid")},
    ),
    (
        "host port twice",
        pod(ports=[{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]),
        {(f"{C}.ports[1].hostPort", "Duplicate")},
    ),
    (
        "host port twice in an init container",
        pod(
            {
                "initContainers": [
                    {"name": "i", "image": "i", "ports": [{"containerPort": 1, "hostPort": 80}] * 2}
                ]
            }
        ),
        {("spec.initContainers[0].ports[1].hostPort", "Duplicate")},
    ),
    (
        "an extended resource in part",
        pod(resources={"limits": {"example.org/gpu": "500m"}}),
        {(f"{C}.resources.{at}[example.org/gpu]", "Invalid") for at in ("limits", "requests")},
    ),
    (
        "an extended resource without limit",
        pod(resources={"requests": {"example.org/gpu": 1}}),
        {(f"{C}.resources.limits", "Required")},
    ),
    (
        "an extended resource beyond its limit",
        pod(resources={"limits": {"example.org/gpu": 1}, "requests": {"example.org/gpu": 2}}),
        {(f"{C}.resources.requests", "Invalid")},
    ),
    (
        "huge pages alone",
        pod(resources={"limits": {"hugepages-2Mi": "4Mi"}}),
        {(f"{C}.resources", "Forbidden")},
    ),
    ("env name", pod(env=[{"name": "A=B"}]), {(f"{C}.env[0].name", "Invalid")}),
    (
        "env source",
        pod(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        {(f"{C}.env[0].valueFrom", "Invalid")},
    ),
    (
        "env field",
        pod(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.containers"}}}]),
        {(f"{C}.env[0].valueFrom.fieldRef.fieldPath", "NotSupported")},
    ),
    ("env from", pod(envFrom=[{}]), {(f"{C}.envFrom[0]", "Invalid")}),
    (
        "more than the limit",
        pod(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
        {(f"{C}.resources.requests", "Invalid")},
    ),
    ("negative", pod(resources={"requests": {"cpu": "-1"}}), {(f"{C}.resources.requests[cpu]", "Invalid")}),
    (
        "no amount",
        pod(resources={"limits": {"cpu": "much"}}),
        {(f"{C}.resources.limits[cpu]", "Invalid"), (f"{C}.resources.requests[cpu]", "Invalid")},
    ),
    ("resource", pod(resources={"requests": {"disk": 1}}), {(f"{C}.resources.requests", "Invalid")}),
    (
        "extended resources are not overcommitted",
        pod(resources={"limits": {"a.b/c": 2}, "requests": {"a.b/c": 1}}),
        {(f"{C}.resources.requests", "Invalid")},
    ),
    (
        "mount",
        pod(volumeMounts=[{"name": "no", "mountPath": "/a"}]),
        {(f"{C}.volumeMounts[0].name", "NotFound")},
    ),
    (
        "two mounts at a path",
        pod(
            {"volumes": [{"name": "a"}]},
            volumeMounts=[{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/a"}],
        ),
        {(f"{C}.volumeMounts[1].mountPath", "Invalid")},
    ),
    (
        "way out",
        pod({"volumes": [{"name": "a"}]}, volumeMounts=[{"name": "a", "mountPath": "/a", "subPath": "../b"}]),
        {(f"{C}.volumeMounts[0].subPath", "Invalid")},
    ),
    ("probe", pod(livenessProbe={}), {(f"{C}.livenessProbe", "Required")}),
    (
        "two handlers",
        pod(livenessProbe={"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
        {(f"{C}.livenessProbe.tcpSocket", "Forbidden")},
    ),
    (
        "thresholds",
        pod(livenessProbe={"tcpSocket": {"port": 1}, "successThreshold": 2}),
        {(f"{C}.livenessProbe.successThreshold", "Invalid")},
    ),
    (
        "privileges",
        pod(securityContext={"privileged": True, "allowPrivilegeEscalation": False}),
        {(f"{C}.securityContext", "Invalid")},
    ),
    ("user", pod(securityContext={"runAsUser": -1}), {(f"{C}.securityContext.runAsUser", "Invalid")}),
    (
        "volume names",
        pod({"volumes": [{"name": "a"}, {"name": "a"}]}),
        {("spec.volumes[1].name", "Duplicate")},
    ),
    (
        "two sources",
        pod({"volumes": [{"name": "a", "emptyDir": {}, "hostPath": {"path": "/a"}}]}),
        {("spec.volumes[0].emptyDir", "Forbidden")},
    ),
    (
        "host path",
        pod({"volumes": [{"name": "a", "hostPath": {"path": "/a/../b"}}]}),
        {("spec.volumes[0].hostPath.path", "Invalid")},
    ),
    (
        "secret",
        pod({"volumes": [{"name": "a", "secret": {}}]}),
        {("spec.volumes[0].secret.secretName", "Required")},
    ),
    (
        "mode",
        pod({"volumes": [{"name": "a", "configMap": {"name": "c", "defaultMode": 1000}}]}),
        {("spec.volumes[0].configMap.defaultMode", "Invalid")},
    ),
    ("deadline", pod({"activeDeadlineSeconds": 0}), {("spec.activeDeadlineSeconds", "Invalid")}),
    (
        "grace",
        pod({"terminationGracePeriodSeconds": -1}),
        {("spec.terminationGracePeriodSeconds", "Invalid")},
    ),
    ("node selector", pod({"nodeSelector": {"a": "?"}}), {("spec.nodeSelector", "Invalid")}),
    ("hostname", pod({"hostname": "a.b"}), {("spec.hostname", "Invalid")}),
    (
        "toleration",
        pod({"tolerations": [{"key": "a", "operator": "Has"}]}),
        {("spec.tolerations[0].operator", "NotSupported")},
    ),
    (
        "toleration of all",
        pod({"tolerations": [{"value": "a"}]}),
        {("spec.tolerations[0].operator", "Invalid")},
    ),
    (
        "toleration seconds",
        pod({"tolerations": [{"key": "a", "tolerationSeconds": 1}]}),
        {("spec.tolerations[0].effect", "Invalid")},
    ),
    (
        "spread",
        pod(
            {
                "topologySpreadConstraints": [
                    {"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}
                ]
            }
        ),
        {("spec.topologySpreadConstraints[0].maxSkew", "Invalid")},
    ),
    (
        "node affinity",
        pod(
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}
                    }
                }
            }
        ),
        {
            (
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
                "Required",
            )
        },
    ),
    (
        "names of all containers",
        pod({"initContainers": [{"name": "web", "image": "a"}]}),
        {("spec.initContainers[0].name", "Duplicate")},
    ),
    (
        "probes of init containers",
        pod({"initContainers": [{"name": "i", "image": "a", "livenessProbe": {"tcpSocket": {"port": 1}}}]}),
        {("spec.initContainers[0].livenessProbe", "Forbidden")},
    ),
    (
        "ephemeral containers",
        pod({"ephemeralContainers": [{"name": "e", "image": "a"}]}),
        {("spec.ephemeralContainers", "Forbidden")},
    ),
    ("dns", pod({"dnsPolicy": "None"}), {("spec.dnsConfig.nameservers", "Required")}),
    (
        "aliases",
        pod({"hostAliases": [{"ip": "x", "hostnames": ["a"]}]}),
        {("spec.hostAliases[0].ip", "Invalid")},
    ),
]


@pytest.mark.parametrize(("obj", "expected"), [(o, e) for _, o, e in WRONG], ids=[n for n, _, _ in WRONG])
def test_what_is_wrong_is_named_with_its_path(obj: Pod, expected: set[tuple[str, str]]) -> None:
    assert errors(obj) == expected


def test_a_rich_but_sound_pod_is_accepted() -> None:
    obj = pod(
        {
            "restartPolicy": "OnFailure",
            "hostname": "db-0",
            "subdomain": "db",
            "nodeName": "n1",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [
                {"operator": "Exists"},
                {"key": "a", "effect": "NoExecute", "tolerationSeconds": 3},
            ],
            "volumes": [
                {"name": "c", "configMap": {"name": "c", "items": [{"key": "a", "path": "b/c"}]}},
                {
                    "name": "d",
                    "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]},
                },
                {"name": "p", "persistentVolumeClaim": {"claimName": "p"}},
            ],
            "initContainers": [
                {"name": "i", "image": "i"},
                {
                    "name": "s",
                    "image": "s",
                    "restartPolicy": "Always",
                    "readinessProbe": {"tcpSocket": {"port": 1}},
                },
            ],
            "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
            "imagePullSecrets": [{"name": "r"}],
            "securityContext": {
                "runAsUser": 1,
                "fsGroup": 2,
                "sysctls": [{"name": "net.core.somaxconn", "value": "1"}],
            },
        },
        env=[
            {"name": "A", "value": "b"},
            {
                "name": "L",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app.kubernetes.io/name']"}},
            },
            {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
        envFrom=[{"configMapRef": {"name": "c"}}],
        volumeMounts=[{"name": "c", "mountPath": "/c", "readOnly": True}],
        lifecycle={"preStop": {"sleep": {"seconds": 1}}},
        startupProbe={"grpc": {"port": 1}},
        resources={"limits": {"example.org/gpu": 1}, "requests": {"cpu": 1, "ephemeral-storage": "1Gi"}},
        securityContext={"capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
    )
    assert errors(obj) == set()
    assert POD.decode(POD.encode(obj)) == replace(
        obj, kind="Pod", api_version="v1", metadata=replace(obj.metadata, resource_version="")
    )


def test_a_template_is_checked_below_its_path() -> None:
    given_template = msgspec.convert(
        {"metadata": {"labels": {"a": "?"}}, "spec": {"containers": []}}, PodTemplateSpec
    )
    paths = {e.path for e in pod_validation.template(given_template, "spec.template")}
    assert {"spec.template.labels", "spec.template.spec.containers"} <= paths
    assert [e.path for e in pod_validation.template(None, "spec.template")] == ["spec.template"]


# Updates


def change(before: Pod, after: Pod) -> set[str]:
    old = RULES.prepare_create(RULES.default(before))
    new = RULES.prepare_update(RULES.default(after), old)
    return {e.path for e in RULES.validate_update(new, old)}


TOLERATION = {"key": "a", "operator": "Exists", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        (pod(), pod(), set()),
        (pod(), pod(image="nginx:1.28"), set()),
        (pod(), pod(command=["sh"]), {"spec"}),
        (pod(), pod({"nodeName": "n1"}), {"spec"}),
        (pod(), pod({"containers": []}), {"spec.containers"}),
        (pod(), pod({"activeDeadlineSeconds": 5}), set()),
        (pod({"activeDeadlineSeconds": 5}), pod({"activeDeadlineSeconds": 4}), set()),
        (
            pod({"activeDeadlineSeconds": 5}),
            pod({"activeDeadlineSeconds": 6}),
            {"spec.activeDeadlineSeconds"},
        ),
        (pod({"activeDeadlineSeconds": 5}), pod(), {"spec.activeDeadlineSeconds"}),
        (pod(), pod({"tolerations": [TOLERATION]}), set()),
        (
            pod({"tolerations": [TOLERATION]}),
            pod({"tolerations": [{**TOLERATION, "tolerationSeconds": 9}]}),
            set(),
        ),
        (pod({"tolerations": [TOLERATION]}), pod(), {"spec.tolerations"}),
        (pod({"terminationGracePeriodSeconds": -1}), pod({"terminationGracePeriodSeconds": 1}), set()),
        (pod({"terminationGracePeriodSeconds": 5}), pod({"terminationGracePeriodSeconds": 1}), {"spec"}),
        (pod({"schedulingGates": [{"name": "a"}]}), pod({"nodeSelector": {"a": "b"}}), set()),
        (pod(), pod({"schedulingGates": [{"name": "a"}]}), {"spec.schedulingGates[0].name"}),
    ],
)
def test_little_of_a_spec_may_change(before: Pod, after: Pod, wrong: set[str]) -> None:
    assert change(before, after) == wrong


def test_status_and_spec_are_written_apart() -> None:
    old = RULES.prepare_create(RULES.default(pod()))
    sent = replace(
        old, spec=None, status=msgspec.convert({"phase": "Running", "podIP": "10.0.0.1"}, PodStatus)
    )
    new = RULES.prepare_status(sent, old)
    assert new.spec is old.spec
    assert wire(new.status) == {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "podIPs": [{"ip": "10.0.0.1"}],
        "qosClass": "BestEffort",
    }
    assert RULES.validate_status(new, old) == []
    assert RULES.prepare_update(replace(new, status=None), new).status is new.status


def test_an_ended_container_does_not_come_back() -> None:
    def with_state(state: dict[str, Any]) -> Pod:
        obj = RULES.prepare_create(RULES.default(pod({"restartPolicy": "Never"})))
        status = msgspec.convert(
            {"qosClass": "BestEffort", "containerStatuses": [{"name": "web", "state": state}]}, PodStatus
        )
        return replace(obj, status=status)

    ended, running = with_state({"terminated": {"exitCode": 1}}), with_state({"running": {}})
    assert [e.path for e in RULES.validate_status(running, ended)] == ["status.containerStatuses[0].state"]
    assert RULES.validate_status(ended, running) == []


@pytest.mark.parametrize(
    ("spec", "phase", "requested", "expected"),
    [
        ({}, "Pending", None, 0),
        ({"nodeName": "n"}, "Running", None, 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 5}, "Running", None, 5),
        ({"nodeName": "n"}, "Running", 7, 7),
        ({"nodeName": "n"}, "Running", 0, 0),
        ({"nodeName": "n"}, "Running", -1, 1),
        ({"nodeName": "n"}, "Succeeded", 7, 0),
        ({"nodeName": "n"}, "Failed", None, 0),
        ({}, "Pending", 7, 0),
    ],
)
def test_how_long_an_end_may_take(
    spec: dict[str, Any], phase: str, requested: int | None, expected: int
) -> None:
    obj = replace(RULES.default(pod(spec)), status=PodStatus(phase=phase))
    assert RULES.grace_period(obj, requested) == expected


def test_what_is_not_acted_on_is_said() -> None:
    loud = pod(
        {
            "runtimeClassName": "x",
            "hostUsers": False,
            "volumes": [
                {"name": "a", "rbd": {"monitors": ["m"]}},
                {"name": "b", "projected": {"sources": [{"podCertificate": {"signerName": "a/b"}}]}},
            ],
        },
        livenessProbe={"grpc": {"port": 1}},
        restartPolicyRules=[{"action": "Restart"}],
    )
    assert {text.split(" ")[0] for text in RULES.warnings(RULES.default(loud))} == {
        "spec.runtimeClassName",
        "spec.hostUsers",
        "spec.containers[0].restartPolicyRules",
        "spec.containers[0].livenessProbe.grpc",
        "spec.volumes[0].rbd",
        "spec.volumes[1].projected.sources[0].podCertificate",
    }


def test_a_priority_class_is_not_looked_up_and_that_is_said() -> None:
    told = RULES.warnings(RULES.default(pod({"priorityClassName": "high"})))
    assert told == ["spec.priorityClassName is accepted but not acted on in this release"]
    assert RULES.warnings(RULES.default(pod({"priority": 5}))) == []


def test_a_pod_of_things_that_are_done_is_quiet() -> None:
    token = {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
    near = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z"}]}
    quiet = pod(
        {
            "affinity": {"podAffinity": near, "podAntiAffinity": near},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "volumes": [{"name": "a"}, {"name": "t", **token}],
            "securityContext": {"fsGroup": 1},
            "nodeSelector": {"a": "b"},
        },
        readinessProbe={"httpGet": {"port": 1}},
        securityContext={"runAsUser": 1},
        volumeMounts=[{"name": "a", "mountPath": "/a"}],
    )
    assert RULES.warnings(RULES.default(pod())) == []
    assert RULES.warnings(RULES.default(quiet)) == []


# Protobuf


def field(number: int, content: bytes | int) -> bytes:
    """One field of a message, short enough for lengths of one byte."""
    if isinstance(content, int):
        return bytes([*tag(number, 0), content])
    assert len(content) < 128
    return bytes([*tag(number, 2), len(content)]) + content


def tag(number: int, kind: int) -> bytes:
    value = number << 3 | kind
    return bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7])


def test_inherited_fields_travel_in_a_message_of_their_own() -> None:
    """Numbers as generated.proto has them: a volume's source, a ConfigMap's name, a probe's handler."""
    config_map = field(1, field(1, b"settings")) + field(3, 100)
    volume = field(1, b"v") + field(2, field(19, config_map))
    get = field(2, field(1, 0) + field(2, 80) + field(3, b""))
    probe = field(1, field(2, get)) + field(4, 7)
    container = field(1, b"web") + field(10, probe)
    message = field(2, field(1, volume) + field(2, container))
    envelope = field(1, field(1, b"v1") + field(2, b"Pod")) + field(2, message)
    found = protobuf.document(Pod, protobuf.MAGIC + envelope)
    assert found["spec"]["volumes"] == [{"name": "v", "configMap": {"name": "settings", "defaultMode": 100}}]
    probe_found = found["spec"]["containers"][0]["livenessProbe"]
    assert probe_found["httpGet"]["port"] == 80
    assert probe_found["periodSeconds"] == 7


def test_selectable_fields() -> None:
    obj = RULES.prepare_create(RULES.default(pod({"nodeName": "n"})))
    found = {name: read(obj) for name, read in POD.fields.items()}
    assert found == {
        "spec.nodeName": "n",
        "spec.restartPolicy": "Always",
        "spec.schedulerName": "default-scheduler",
        "spec.serviceAccountName": "",
        "spec.hostNetwork": "false",
        "status.phase": "Pending",
        "status.podIP": "",
        "status.nominatedNodeName": "",
    }
