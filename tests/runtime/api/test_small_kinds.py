# SPDX-License-Identifier: GPL-3.0-or-later
"""The small kinds: names and types against the official client's models, and their rules."""

from __future__ import annotations

import datetime
from typing import Any

import kubernetes.client as models
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from navarch.api.authentication import tokenreview
from navarch.api.authorization import accessreview
from navarch.api.builtin import scheme
from navarch.api.certificates import certificatesigningrequest
from navarch.api.coordination import lease
from navarch.api.core import binding, configmap, event, secret, serviceaccount
from navarch.api.machinery import meta, shapes
from navarch.api.machinery.decode import decode
from navarch.api.machinery.scheme import Kind
from navarch.api.policy import eviction

FILES = (
    accessreview,
    binding,
    certificatesigningrequest,
    configmap,
    event,
    eviction,
    lease,
    meta,
    secret,
    serviceaccount,
    tokenreview,
)
#: Ours -> the client's, where V1 + name is not it.
NAMES = {
    "Event": "CoreV1Event",
    "EventSeries": "CoreV1EventSeries",
    "TokenRequest": "AuthenticationV1TokenRequest",
}
#: Base classes, and what the client has no model for.
SKIP = {"Struct", "Object"}

SCALARS = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "bytes": "bytes",
    "datetime": "string",
    "object": "any",
}

STRUCTS = [
    value
    for module in FILES
    for value in vars(module).values()
    if isinstance(value, type)
    and issubclass(value, msgspec.Struct)
    and value.__module__ == module.__name__
    and value.__name__ not in SKIP
]


def shape_text(shape: shapes.Shape) -> str:
    if shape.struct is not None:
        return shape.struct.__name__
    if shape.form in ("list", "map"):
        return f"{shape.form}<{shape_text(shape.element)}>"
    return shape.form


def model_text(text: str) -> str:
    if text.startswith("List["):
        return f"list<{model_text(text[5:-1])}>"
    if text.startswith("Dict[str, "):
        return f"map<{model_text(text[10:-1])}>"
    if text in SCALARS:
        return SCALARS[text]
    known = {theirs: ours for ours, theirs in NAMES.items()}
    return known.get(text, text.removeprefix("V1"))


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: s.__name__)
def test_fields_are_those_of_the_official_client(struct):
    model = getattr(models, NAMES.get(struct.__name__, "V1" + struct.__name__))
    theirs = {model.attribute_map[k]: model_text(v) for k, v in model.openapi_types.items()}
    ours = {name: shape_text(f.shape) for name, f in shapes.fields(struct).items()}
    if struct is meta.ManagedFieldsEntry:
        theirs["fieldsV1"] = "map<any>"
    assert ours == theirs


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: s.__name__)
def test_protobuf_numbers_are_unique_and_fields_described(struct):
    fields = shapes.fields(struct).values()
    numbers = [f.number for f in fields if f.number]
    assert len(numbers) == len(set(numbers))
    assert all(f.description.endswith(".") for f in fields)


def made(kind: Kind[Any], document: dict[str, Any]) -> Any:
    return kind.rules.default(decode(kind, msgspec.json.encode(document)))


def told(kind: Kind[Any], document: dict[str, Any]) -> list[str]:
    return [f"{e.path}: {e.message()}" for e in kind.rules.validate(made(kind, document))]


@pytest.mark.parametrize("kind", list(scheme()), ids=lambda k: k.full_resource)
def test_every_kind_stands_an_empty_object_and_its_bytes_read_back(kind):
    obj = made(kind, {"metadata": {"name": "x", "namespace": "d"}})
    assert kind.rules.default(obj) == obj
    kind.rules.validate(obj)
    if kind.cells:
        assert len(kind.cells(obj, 0.0)) == len(kind.columns)
    assert all(isinstance(read(obj), str) for read in kind.fields.values())
    spliced = kind.splice(kind.encode(obj), 7)
    assert kind.decode(spliced).metadata.resource_version == "7"


def test_config_map():
    kind = configmap.CONFIG_MAP
    assert told(kind, {"data": {"a": "b"}, "binaryData": {"c": "AA=="}}) == []
    assert "data[a/b]" in told(kind, {"data": {"a/b": ""}})[0]
    assert "duplicate of key" in told(kind, {"data": {"a": ""}, "binaryData": {"a": ""}})[0]
    assert "Too long: may not be more than 1048576 bytes" in told(kind, {"data": {"a": "é" * 600_000}})[0]
    old = made(kind, {"data": {"a": "b"}, "immutable": True})
    same = made(kind, {"data": {"a": "b"}, "immutable": True, "metadata": {"labels": {"x": "y"}}})
    assert kind.rules.validate_update(same, old) == []
    changed = kind.rules.validate_update(made(kind, {"data": {"a": "c"}}), old)
    assert [e.path for e in changed] == ["immutable", "data"]
    assert kind.cells(old, 0)[:2] == [None, 1]


def test_secret():
    kind = secret.SECRET
    obj = made(kind, {"data": {"a": "YQ==", "b": "eA=="}, "stringData": {"b": "c"}})
    assert (obj.data, obj.string_data, obj.type) == ({"a": b"a", "b": b"c"}, None, "Opaque")
    assert kind.rules.validate_update(made(kind, {"type": "x"}), obj)[0].path == "type"
    assert told(kind, {"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}) == [
        "data[tls.key]: Required value"
    ]
    assert len(told(kind, {"type": "kubernetes.io/basic-auth"})) == 2
    assert "annotations" in told(kind, {"type": "kubernetes.io/service-account-token"})[0]
    wrong = told(
        kind, {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "sesame"}}
    )
    assert "must be valid JSON" in wrong[0]
    assert "sesame" not in wrong[0]
    assert kind.fields["type"](obj) == "Opaque"


def test_event():
    kind = event.EVENT
    about = {"kind": "Pod", "name": "p", "namespace": "d", "fieldPath": "spec.containers{c}"}
    body = {
        "metadata": {"name": "p.1", "namespace": "d"},
        "involvedObject": about,
        "reason": "Started",
        "message": " Started container c\n",
        "type": "Normal",
        "count": 3,
        "source": {"component": "kubelet", "host": "n"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:01:00Z",
    }
    assert told(kind, body) == []
    now = datetime.datetime(2026, 1, 1, 0, 2, tzinfo=datetime.UTC).timestamp()
    assert kind.cells(made(kind, body), now) == [
        "60s",
        "Normal",
        "Started",
        "pod/p",
        "spec.containers{c}",
        "kubelet, n",
        "Started container c",
        "2m",
        3,
        "p.1",
    ]
    assert kind.fields["source"](made(kind, body)) == "kubelet"
    assert kind.fields["involvedObject.fieldPath"](made(kind, body)) == "spec.containers{c}"
    assert "does not match event.namespace" in told(kind, {**body, "metadata": {"namespace": "e"}})[0]
    node = {"kind": "Node", "name": "n"}
    assert told(kind, {"involvedObject": node, "metadata": {"namespace": "default"}}) == []
    assert told(kind, {"involvedObject": node, "metadata": {"namespace": "d"}}) != []


def test_lease():
    kind = lease.LEASE
    assert told(kind, {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}) == [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
    ]
    assert kind.volatile(made(kind, {"metadata": {"namespace": "kube-node-lease"}}))
    assert not kind.volatile(made(kind, {"metadata": {"namespace": "kube-system"}}))


def test_reviews():
    kind = accessreview.SELF_SUBJECT_ACCESS_REVIEW
    assert told(kind, {"spec": {"resourceAttributes": {"verb": "get"}}}) == []
    assert told(kind, {"spec": {}}) != []
    assert told(kind, {"spec": {"resourceAttributes": {}, "nonResourceAttributes": {}}}) != []
    assert "spec.user" in told(accessreview.SUBJECT_ACCESS_REVIEW, {"spec": {"resourceAttributes": {}}})[0]
    local = {"metadata": {"namespace": "a"}, "spec": {"user": "u", "resourceAttributes": {"namespace": "b"}}}
    assert "must match metadata.namespace" in told(accessreview.LOCAL_SUBJECT_ACCESS_REVIEW, local)[0]
    assert "10 minutes" in told(tokenreview.TOKEN_REQUEST, {"spec": {"expirationSeconds": 5}})[0]
    assert told(binding.BINDING, {"target": {"kind": "Pod"}}) != []
    assert told(binding.BINDING, {"target": {"kind": "Node", "name": "n"}}) == []


def request_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def test_certificate_signing_request():
    kind = certificatesigningrequest.CERTIFICATE_SIGNING_REQUEST
    rules = kind.rules
    spec = {
        "request": request_pem(),
        "signerName": "kubernetes.io/kubelet-serving",
        "usages": ["server auth"],
    }
    assert told(kind, {"spec": spec}) == []
    wrong = told(
        kind, {"spec": {"request": "eA==", "signerName": "x", "usages": ["fly"], "expirationSeconds": 5}}
    )
    assert [text.partition(":")[0] for text in wrong] == [
        "spec.request",
        "spec.signerName",
        "spec.usages[0]",
        "spec.expirationSeconds",
    ]
    assert len(told(kind, {})) == 3
    old = made(kind, {"spec": {**spec, "username": "me"}})
    approved = {"conditions": [{"type": "Approved", "status": "True"}]}
    new = rules.prepare_status(made(kind, {"spec": {}, "status": approved}), old)
    assert new.spec == old.spec
    assert new.status.conditions[0].last_update_time
    assert rules.validate_status(new, old) == []
    assert kind.cells(new, 0)[2:] == ["kubernetes.io/kubelet-serving", "me", "<none>", "Approved"]
    issued = msgspec.structs.replace(new, status=msgspec.structs.replace(new.status, certificate=b"x"))
    assert kind.cells(issued, 0)[-1] == "Approved,Issued"
    assert "certificate" in rules.validate_status(new, issued)[0].path
    assert "may not be removed" in rules.validate_status(old, new)[0].detail
    both = {"conditions": [*approved["conditions"], {"type": "Denied", "status": "True"}]}
    assert "mutually exclusive" in rules.validate_status(made(kind, {"status": both}), old)[0].detail
    assert rules.prepare_update(made(kind, {"spec": {}}), issued).status == issued.status
    assert rules.name_rule("a:b_C") is None
    assert rules.name_rule("a/b")
