# SPDX-License-Identifier: GPL-3.0-or-later
"""Protobuf bodies: bytes that kubectl 1.37 sent, all forms of fields, and hostile bytes."""

from __future__ import annotations

import base64
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navarch.api.authentication.tokenreview import TOKEN_REQUEST
from navarch.api.authorization.accessreview import SELF_SUBJECT_ACCESS_REVIEW
from navarch.api.certificates.certificatesigningrequest import CERTIFICATE_SIGNING_REQUEST
from navarch.api.coordination.lease import LEASE
from navarch.api.core.configmap import CONFIG_MAP
from navarch.api.core.namespace import NAMESPACE
from navarch.api.core.pod.pod import POD
from navarch.api.core.podtemplate import PodTemplateSpec
from navarch.api.core.secret import SECRET
from navarch.api.core.service.service import SERVICE
from navarch.api.core.serviceaccount import SERVICE_ACCOUNT
from navarch.api.machinery import decode, meta, protobuf, shapes
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.fields import Struct, field, wire
from navarch.api.machinery.meta import DeleteOptions

#: What kubectl 1.37.1 posts, the bodies of these commands.
CAPTURED = [
    (
        CONFIG_MAP,  # create configmap a --from-literal=x=y --from-file=bin=FILE
        "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiYKEQoBYRIAGgAiACoAMgA4AEIAEgYKAXgSAXkaCQoDYmluEgL/ABoAIgA=",
        {"metadata": {"name": "a"}, "data": {"x": "y"}, "binaryData": {"bin": "/wA="}},
    ),
    (
        SECRET,  # create secret generic s --from-literal=user=me --type=kubernetes.io/basic-auth
        "azhzAAoMCgJ2MRIGU2VjcmV0EjkKEQoBcxIAGgAiACoAMgA4AEIAEgoKBHVzZXISAm1lGhhrdWJlcm5ldGVzLmlvL2Jhc2ljLWF1"
        "dGgaACIA",
        {"metadata": {"name": "s"}, "data": {"user": "bWU="}, "type": "kubernetes.io/basic-auth"},
    ),
    (
        SERVICE_ACCOUNT,  # create serviceaccount robot
        "azhzAAoUCgJ2MRIOU2VydmljZUFjY291bnQSFwoVCgVyb2JvdBIAGgAiACoAMgA4AEIAGgAiAA==",
        {"metadata": {"name": "robot"}},
    ),
    (
        TOKEN_REQUEST,  # create token robot --duration=1h --audience=a
        "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIgChAKABIAGgAiACoAMgA4AEIAEgYKAWEgkBwa"
        "BAoAEgAaACIA",
        {"metadata": {}, "spec": {"audiences": ["a"], "expirationSeconds": 3600}, "status": {}},
    ),
    (
        SERVICE,  # create service clusterip web --tcp=80:http
        "azhzAAoNCgJ2MRIHU2VydmljZRJsCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEkUKHgoHODAtaHR0cBIDVENQGFAi"
        "CggBEAAaBGh0dHAoABIKCgNhcHASA3dlYhoAIglDbHVzdGVySVA6AEIAUgBaAGAAaAAaAgoAGgAiAA==",
        {
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {
                "ports": [{"name": "80-http", "protocol": "TCP", "port": 80, "targetPort": "http"}],
                "selector": {"app": "web"},
                "type": "ClusterIP",
            },
            "status": {"loadBalancer": {}},
        },
    ),
    (
        NAMESPACE,  # create namespace n
        "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhkKEQoBbhIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA==",
        {"metadata": {"name": "n"}, "spec": {}, "status": {}},
    ),
    (
        SELF_SUBJECT_ACCESS_REVIEW,  # auth can-i create pods
        "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSPwoQCgASABoAIgAqADIAOABC"
        "ABIhCh8KB2RlZmF1bHQSBmNyZWF0ZRoAIgAqBHBvZHMyADoAGggIABIAGgAgABoAIgA=",
        {
            "metadata": {},
            "spec": {"resourceAttributes": {"namespace": "default", "verb": "create", "resource": "pods"}},
            "status": {},
        },
    ),
]
DEPLOYMENT = (  # create deployment d --image=busybox --replicas=0 --port=80
    "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErQBChsKAWQSABoAIgAqADIAOABCAFoICgNhcHASAWQShgEIABIKCggKA2FwcBIBZBpu"
    "ChoKABIAGgAiACoAMgA4AEIAWggKA2FwcBIBZBJQEjIKB2J1c3lib3gSB2J1c3lib3gqADIKCgAQABhQIgAqAEIAagByAIABAIgBAJAB"
    "AKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIAAoADgAGgAiAA=="
)


@pytest.mark.parametrize(("kind", "body", "document"), CAPTURED, ids=lambda v: getattr(v, "kind", ""))
def test_what_kubectl_sends(kind, body, document):
    raw = base64.b64decode(body)
    found = protobuf.document(kind.type, raw)
    assert found == {"kind": kind.kind, "apiVersion": kind.api_version, **document}
    obj = decode.decode(kind, raw, decode.PROTOBUF)
    kind.rules.validate(kind.rules.default(obj))


class DeploymentSpec(Struct):
    replicas: Annotated[int | None, wire(1, "", format="int32", optional=True)] = field("replicas", None)
    selector: Annotated[meta.LabelSelector | None, wire(2, "")] = field("selector", None)
    template: Annotated[PodTemplateSpec | None, wire(3, "")] = field("template", None)


class Deployment(meta.Object):
    spec: Annotated[DeploymentSpec | None, wire(2, "")] = field("spec", None)


def test_a_pod_template_as_kubectl_sends_it():
    found = protobuf.document(Deployment, base64.b64decode(DEPLOYMENT))
    assert found["spec"]["replicas"] == 0
    template = found["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "d"}
    assert template["spec"]["containers"] == [
        {"name": "busybox", "image": "busybox", "ports": [{"containerPort": 80}], "resources": {}}
    ]
    assert set(template["spec"]) <= {"containers", "securityContext"}


def varint(n: int) -> bytes:
    n &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def num(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def sub(number: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def envelope(raw: bytes, kind: str = "", api_version: str = "") -> bytes:
    return protobuf.MAGIC + sub(1, sub(1, api_version) + sub(2, kind)) + sub(2, raw)


def number_of(struct: type[msgspec.Struct], name: str) -> int:
    return shapes.fields(struct)[name].number


def test_times_and_durations():
    lease = sub(1, sub(1, "l") + sub(8, num(1, 1767225600) + num(2, 0))) + sub(
        2, sub(1, "me") + num(2, 0) + sub(4, num(1, 1767225600) + num(2, 123456000))
    )
    found = protobuf.document(LEASE.type, envelope(lease))
    assert found["metadata"] == {"name": "l", "creationTimestamp": "2026-01-01T00:00:00Z"}
    assert found["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 0,
        "renewTime": "2026-01-01T00:00:00.123456Z",
    }
    with pytest.raises(StatusError, match="time is out of range"):
        protobuf.document(LEASE.type, envelope(sub(1, sub(8, num(1, 1 << 60)))))


def test_numbers_packed_lists_maps_and_unknown_fields():
    found = protobuf.document(
        DeleteOptions, envelope(num(1, 0) + sub(4, "Background") + sub(5, "All") + sub(99, "?"))
    )
    assert found == {"gracePeriodSeconds": 0, "propagationPolicy": "Background", "dryRun": ["All"]}
    assert protobuf.document(DeleteOptions, envelope(num(1, -1)))["gracePeriodSeconds"] == -1
    groups = number_of(shapes.fields(POD.type)["spec"].shape.struct, "securityContext")
    security = shapes.fields(POD.type)["spec"].shape.struct
    context = shapes.fields(security)["securityContext"].shape.struct
    at = number_of(context, "supplementalGroups")
    for raw in (num(at, 5) + num(at, 6), sub(at, varint(5) + varint(6))):
        found = protobuf.document(POD.type, envelope(sub(2, sub(groups, raw))))
        assert found["spec"]["securityContext"]["supplementalGroups"] == [5, 6]
    extra = sub(6, sub(1, "k") + sub(2, sub(1, "a") + sub(1, "b")))
    found = protobuf.document(CERTIFICATE_SIGNING_REQUEST.type, envelope(sub(2, sub(1, b"pem") + extra)))
    assert found["spec"] == {"request": "cGVt", "extra": {"k": ["a", "b"]}}


def test_managed_fields_are_json_inside():
    entry = sub(1, "kubectl") + sub(7, sub(1, b'{"f:spec":{}}'))
    found = protobuf.document(CONFIG_MAP.type, envelope(sub(1, sub(17, entry))))
    assert found["metadata"]["managedFields"] == [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
    with pytest.raises(StatusError, match="embedded document"):
        protobuf.document(CONFIG_MAP.type, envelope(sub(1, sub(17, sub(7, sub(1, b"{"))))))


def test_wrong_kind_in_the_envelope():
    with pytest.raises(StatusError, match="Secret in version"):
        decode.decode(CONFIG_MAP, envelope(b"", "Secret", "v1"), decode.PROTOBUF)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "magic"),
        (b"{}", "magic"),
        (protobuf.MAGIC + b"\xff", "cut off"),
        (protobuf.MAGIC + b"\xff" * 12, "too long"),
        (protobuf.MAGIC + b"\x0b", "wire type 3"),
        (protobuf.MAGIC + b"\x02", "number 0"),
        (envelope(sub(1, sub(1, b"\xff"))), "UTF-8"),
        (envelope(num(1, 5)), "number stands where bytes"),
        (envelope(sub(4, sub(1, "x"))[:-1] + b""), None),
    ],
)
def test_malformed(body, told):
    try:
        protobuf.document(CONFIG_MAP.type, body)
    except StatusError as e:
        assert e.code == 400
        assert told is None or told in e.message
    else:
        assert told is None


@given(st.sampled_from(CAPTURED), st.data())
def test_damaged_bytes_never_fail_otherwise(captured, data):
    kind, body, _ = captured
    raw = bytearray(base64.b64decode(body))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    try:
        decode.decode(kind, bytes(raw[:cut]), decode.PROTOBUF)
    except StatusError as e:
        assert e.code == 400


@given(st.binary(max_size=300))
def test_random_messages_never_fail_otherwise(raw):
    for kind in (POD, CONFIG_MAP, LEASE):
        try:
            decode.decode(kind, envelope(raw), decode.PROTOBUF)
        except StatusError as e:
            assert e.code == 400
