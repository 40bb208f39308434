# SPDX-License-Identifier: GPL-3.0-or-later
"""Every struct of the big kinds against the models of the reference's Python client."""

from __future__ import annotations

import importlib
import re
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from kubernetes.client import models

from navarch.api.machinery import meta, shapes
from navarch.api.machinery.fields import Struct

FILES = (
    "core.pod.affinity",
    "core.pod.container",
    "apps.deployment",
    "core.endpoints",
    "discovery.endpointslice",
    "core.pod.environment",
    "core.namespace",
    "core.node.node",
    "core.pod.pod",
    "core.pod.spec",
    "core.pod.status",
    "core.podtemplate",
    "core.pod.probe",
    "core.reference",
    "apps.replicaset",
    "core.replicationcontroller",
    "core.pod.security",
    "core.service.service",
    "core.pod.volume",
    "core.pod.volume_legacy",
)

#: Ours -> the client's name, where it is not V1 + ours.
RENAMED = {"EndpointPort": "CoreV1EndpointPort", "ResourceClaim": "CoreV1ResourceClaim"}
#: What is inlined in JSON and has no model of its own.
INLINED = {"VolumeSource", "ProbeHandler"}


def structs() -> Iterator[type[Struct]]:
    for file in FILES:
        module = importlib.import_module(f"navarch.api.{file}")
        for value in vars(module).values():
            ours = (
                isinstance(value, type) and issubclass(value, Struct) and value.__module__ == module.__name__
            )
            if ours and value.__name__ not in INLINED:
                yield value
    for name in (
        "ObjectMeta",
        "ListMeta",
        "ShardInfo",
        "OwnerReference",
        "ManagedFieldsEntry",
        "LabelSelector",
    ):
        yield getattr(meta, name)
    for name in ("LabelSelectorRequirement", "Condition", "Preconditions", "DeleteOptions"):
        yield getattr(meta, name)


def model(struct: type[Struct]) -> Any:
    name = struct.__name__
    if name == "EndpointPort" and struct.__module__.endswith("endpointslice"):
        return models.DiscoveryV1EndpointPort
    return getattr(models, RENAMED.get(name, f"V1{name}"))


def attributes(theirs: Any) -> dict[str, str]:
    """Wire name -> name of the type as the client writes it."""
    return {wire: theirs.openapi_types[name] for name, wire in theirs.attribute_map.items()}


def required(theirs: Any) -> set[str]:
    """Wire names of the fields that the client refuses to be without."""
    found = set()
    for name, info in theirs.model_fields.items():
        plain = name.removeprefix("var_")
        wire = theirs.attribute_map.get(name) or theirs.attribute_map.get(f"_{plain}", plain)
        if info.is_required():
            found.add(wire)
    return found


SCALARS = {
    "str": {"string", "quantity", "int-or-string"},
    "int": {"integer"},
    "bool": {"boolean"},
    "datetime": {"string"},
    "object": {"int-or-string", "any", "map"},
    "IntOrString": {"int-or-string"},
    "Any": {"int-or-string", "any", "map"},
}


def fits(shape: shapes.Shape, theirs: str) -> bool:
    """Whether our type is what the client writes as text: `list[V1Container]`, `dict(str, str)`, `int`."""
    text = theirs.replace(" ", "")
    if found := re.fullmatch(r"(?:list|List)\[(.*)\]", text):
        return shape.form == "list" and shape.element is not None and fits(shape.element, found[1])
    if found := re.fullmatch(r"(?:dict|Dict)[(\[]str,(.*)[)\]]", text):
        return shape.form == "map" and shape.element is not None and fits(shape.element, found[1])
    if text in SCALARS:
        return shape.form in SCALARS[text]
    if shape.form in ("int-or-string", "quantity"):
        return "IntOrString" in text or "Quantity" in text
    return shape.form == "struct" and shape.struct is not None and model(shape.struct).__name__ == text


ALL = list(structs())


def test_no_kind_of_struct_is_forgotten() -> None:
    """What our structs refer to is checked too."""
    known = set(ALL)
    for struct in ALL:
        for field in shapes.fields(struct).values():
            shape = field.shape
            while shape.element is not None:
                shape = shape.element
            if shape.struct is not None:
                assert shape.struct in known, f"{struct.__name__}.{field.name}"


@pytest.mark.parametrize("struct", ALL, ids=lambda s: s.__name__)
def test_fields_are_those_of_the_reference(struct: type[Struct]) -> None:
    theirs = attributes(model(struct))
    ours = shapes.fields(struct)
    assert set(ours) == set(theirs)
    wrong = {
        name: (f.shape.form, theirs[name]) for name, f in ours.items() if not fits(f.shape, theirs[name])
    }
    assert not wrong


@pytest.mark.parametrize("struct", ALL, ids=lambda s: s.__name__)
def test_required_fields_are_those_of_the_reference(struct: type[Struct]) -> None:
    ours = {name for name, f in shapes.fields(struct).items() if f.required}
    assert ours == required(model(struct))


@pytest.mark.parametrize("struct", ALL, ids=lambda s: s.__name__)
def test_numbers_and_descriptions_stand_beside_every_field(struct: type[Struct]) -> None:
    inherited = struct.embedded[1].__struct_encode_fields__ if struct.embedded else ()
    own = [f for name, f in shapes.fields(struct).items() if name not in inherited]
    numbers = [f.number for f in own if f.number] + ([struct.embedded[0]] if struct.embedded else [])
    assert len(numbers) == len(set(numbers))
    # kind and apiVersion of whole objects travel in the envelope.
    assert {f.name for f in own if not f.number} <= {"kind", "apiVersion"}
    for field in shapes.fields(struct).values():
        assert field.description.endswith("."), field.name
        assert len(field.description) < 110


@pytest.mark.parametrize("struct", ALL, ids=lambda s: s.__name__)
def test_formats_tell_what_types_do_not(struct: type[Struct]) -> None:
    for field in shapes.fields(struct).values():
        leaf = field.shape
        while leaf.element is not None:
            leaf = leaf.element
        if leaf.form in ("quantity", "int-or-string"):
            assert field.format == leaf.form, field.name
        if leaf.form == "integer":
            assert field.format in ("int32", "int64"), field.name


@pytest.mark.parametrize("struct", ALL, ids=lambda s: s.__name__)
def test_an_empty_document_decodes_and_required_fields_are_sent(struct: type[Struct]) -> None:
    """A field with a sound zero value is sent even then: typed clients refuse an object without it."""
    empty = msgspec.json.decode(b"{}", type=struct)
    sent = msgspec.json.decode(msgspec.json.encode(empty))
    assert msgspec.json.decode(msgspec.json.encode(empty), type=struct) == empty
    if struct.__module__ != meta.__name__:
        assert set(sent) >= required(model(struct))


def test_descriptions_are_our_own_in_one_sentence() -> None:
    for struct in ALL:
        for field in shapes.fields(struct).values():
            assert "More info" not in field.description
            assert not re.search(r"\.\s+[A-Z]", field.description), f"{struct.__name__}.{field.name}"


def test_type_hints_resolve() -> None:
    for struct in ALL:
        assert typing.get_type_hints(struct, include_extras=True)
