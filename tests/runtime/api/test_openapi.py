# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI documents: whole, and with what kubectl looks for."""

from __future__ import annotations

import pytest

from navarch.api.builtin import scheme
from navarch.api.machinery import openapi, openapi_protobuf

META = "io.k8s.apimachinery.pkg.apis.meta.v1."


def references(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner.rpartition("/")[2]
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.fixture(scope="module")
def core():
    return openapi.document(scheme(), "", "v1")


@pytest.mark.parametrize(("group", "version"), scheme().groups())
def test_documents_are_whole(group, version):
    document = openapi.document(scheme(), group, version)
    schemas = document["components"]["schemas"]
    assert set(references(document)) <= set(schemas)
    assert META + "Status" in schemas
    names = [o["operationId"] for p in document["paths"].values() for o in p.values() if isinstance(o, dict)]
    assert len(names) == len(set(names))
    for kind in scheme():
        if (kind.group, kind.version) == (group, version):
            schema = schemas[openapi.type_name(kind.type)]
            gvk = {"group": group, "version": version, "kind": kind.kind}
            assert schema["x-kubernetes-group-version-kind"] == [gvk]


def test_v2_is_whole():
    document = openapi.document_v2(scheme())
    assert set(references(document)) <= set(document["definitions"])
    assert document["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"] == "string"


def test_names_and_patch_keys(core):
    schemas = core["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["items"] == {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    limits = schemas["io.k8s.api.core.v1.ResourceRequirements"]["properties"]["limits"]
    assert limits["additionalProperties"] == {
        "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"
    }
    assert schemas["io.k8s.api.core.v1.Container"]["required"] == ["name"]
    assert schemas[META + "ObjectMeta"]["properties"]["creationTimestamp"]["allOf"] == [
        {"$ref": f"#/components/schemas/{META}Time"}
    ]
    assert schemas["io.k8s.api.core.v1.Secret"]["properties"]["data"]["additionalProperties"] == {
        "type": "string",
        "format": "byte",
    }
    assert schemas["io.k8s.api.core.v1.PodList"]["x-kubernetes-group-version-kind"] == [
        {"group": "", "version": "v1", "kind": "PodList"}
    ]
    port = schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["containerPort"]
    assert (port["type"], port["format"]) == ("integer", "int32")
    assert "anyOf" not in str(schemas)


def test_what_kubectl_looks_for_in_paths(core):
    """The server validates only when PATCH has fieldValidation; explain finds a kind by an operation."""
    for path, kind in (("pods", "Pod"), ("configmaps", "ConfigMap"), ("services", "Service")):
        item = core["paths"][f"/api/v1/namespaces/{{namespace}}/{path}/{{name}}"]
        assert item["patch"]["x-kubernetes-group-version-kind"]["kind"] == kind
        assert {"fieldValidation", "dryRun"} <= {p["name"] for p in item["patch"]["parameters"]}
        assert item["get"]["x-kubernetes-action"] == "get"
    assert core["paths"]["/api/v1/pods"]["get"]["x-kubernetes-action"] == "list"
    eviction = core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/eviction"]["post"]
    assert eviction["x-kubernetes-group-version-kind"] == {
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
    }


def test_own_group_is_named_by_its_domain():
    document = openapi.document(scheme(), "scheduling.navarch.io", "v1alpha1")
    assert "io.navarch.scheduling.v1alpha1.SchedulingReview" in document["components"]["schemas"]


def _entries(raw: bytes):
    """(number, value) of a message, by hand: the code under test must not check itself."""

    def varint(at):
        value = shift = 0
        while True:
            value |= (raw[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if raw[at - 1] < 0x80:
                return value, at

    at = 0
    while at < len(raw):
        tag, at = varint(at)
        assert tag & 7 == 2
        size, at = varint(at)
        yield tag >> 3, raw[at : at + size]
        at += size


def test_v2_in_protobuf_has_all_definitions():
    document = dict(_entries(openapi_protobuf.document_v2(scheme())))
    assert document[1] == b"2.0"
    definitions = {}
    for _, named in _entries(document[9]):
        parts = dict(_entries(named))
        definitions[parts[1].decode()] = list(_entries(parts[2]))
    assert definitions.keys() == openapi.document_v2(scheme())["definitions"].keys()
    spec = definitions["io.k8s.api.core.v1.PodSpec"]
    assert (19, b"containers") in spec
    properties = dict(spec)[25]
    names = [dict(_entries(named))[1] for _, named in _entries(properties)]
    assert b"hostNetwork" in names
    extensions = [dict(_entries(v)) for n, v in definitions["io.k8s.api.core.v1.Pod"] if n == 31]
    assert extensions[0][1] == b"x-kubernetes-group-version-kind"
    assert b'"kind":"Pod"' in extensions[0][2]
