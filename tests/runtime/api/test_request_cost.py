# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request costs grows with its size, and no faster: every list and map of every kind, 50,000 elements
(or what fits into a body), through all that is done with it: check, decode, default, validate, merge, apply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from request_cost_support import Place, growth, most, places, rules, sized

from navarch.api.certificates.certificatesigningrequest import CERTIFICATE_SIGNING_REQUEST
from navarch.api.core.pod.pod import POD
from navarch.api.machinery import decode, patch, strict
from navarch.api.machinery.errors import StatusError, gather, invalid_object
from navarch.registry import managed_fields, metadata
from navarch.registry.writing import encode

ELEMENTS = 50_000
#: Of a patch or an apply, whose steps for one element cost more.
MERGED = 8_000
BODY = 3 * 1024 * 1024
#: Twice the elements may cost three times the time; what is quadratic costs four times.
RATIO = 3.0

#: A list of an element's own parts, to be done with it.
Work = Callable[[], object]


def _tried(work: Work) -> Any:
    """The result, or the refusal as it would be sent."""
    try:
        return work()
    except StatusError as error:
        return encode(error.body())


def _created(place: Place, body: bytes) -> None:
    kind = place.kind
    _tried(lambda: strict.problems(kind, body))
    obj = _tried(lambda: decode.decode(kind, body))
    if not isinstance(obj, kind.type):
        return
    obj = kind.rules.prepare_create(kind.rules.default(obj))
    found = gather(
        lambda: metadata.validate(obj.metadata, lambda name: None), lambda: kind.rules.validate(obj)
    )
    if found:
        assert len(encode(invalid_object(kind.kind, "a", found).body())) < 1_000_000
    kind.rules.warnings(obj)
    if kind.cells is not None:
        kind.cells(obj, 0.0)
    encode(obj)


def _objects(place: Place, *bodies: bytes) -> list[Any]:
    kind = place.kind
    return [kind.rules.default(kind.decoder.decode(body)) for body in bodies]


def _updated(place: Place, old: bytes, new: bytes) -> None:
    kind, rules = place.kind, place.kind.rules
    before, after = _objects(place, old, new)
    made = rules.prepare_update(after, before)
    gather(
        lambda: metadata.validate_update(made.metadata, before.metadata),
        lambda: rules.validate_update(made, before),
    )
    if "status" in kind.subresources:
        made = rules.prepare_status(after, before)
        gather(lambda: rules.validate_status(made, before))


def _managed(place: Place, old: bytes, new: bytes) -> None:
    """Managed fields know a place by its rules alone, as merging does."""
    managed_fields.after_update(place.kind, *_objects(place, old, new), "somebody")


def _patched(place: Place, old: bytes, new: bytes) -> None:
    kind = place.kind
    document, change = msgspec.json.decode(old), msgspec.json.decode(new)
    changes = [change]
    items = _at(change, place.path[:-1])
    name = place.path[-1]
    if isinstance(items, dict) and isinstance(found := items.get(name), list):
        keyed = bool(place.field.merge_key)
        gone = [{**item, "$patch": "delete"} for item in found] if keyed else []
        for extra in (
            {name: gone} if keyed else {f"$deleteFromPrimitiveList/{name}": found},
            {name: found, f"$setElementOrder/{name}": found[::-1]},
            {"$retainKeys": [str(i) for i in range(len(found))]},
        ):
            changes.append(_with(change, place.path[:-1], extra))
    for body in changes:
        made = _tried(lambda body=body: patch.strategic_merge_patch(kind.type, document, body))
        if isinstance(made, dict):
            _tried(lambda made=made: decode.from_document(kind, made))
    patch.merge_patch(document, change)
    many = [{"op": "add", "path": "/metadata/labels", "value": {}}]
    many += [{"op": "add", "path": f"/metadata/labels/{i}", "value": "a"} for i in range(500)]
    _tried(lambda: patch.json_patch(document, many))


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        document = document[name]
        while isinstance(document, list):
            document = document[0]
        if isinstance(document, dict) and list(document) == ["a"]:
            document = document["a"]
    return document


def _with(document: Any, path: tuple[str, ...], extra: dict[str, Any]) -> Any:
    """A copy of a document with other members at a place."""
    made = msgspec.json.decode(msgspec.json.encode(document))
    at = _at(made, path)
    at.pop(next(iter(extra)), None)
    at.update(extra)
    return made


def _applied(place: Place, old: bytes, new: bytes) -> None:
    kind = place.kind
    first, second = msgspec.json.decode(old), msgspec.json.decode(new)
    live = _tried(lambda: managed_fields.apply_to(kind, None, first, "one"))
    if isinstance(live, kind.type):
        _tried(lambda: managed_fields.apply_to(kind, live, second, "two"))
        _tried(lambda: managed_fields.apply_to(kind, live, second, "two", force=True))


def _bodies(place: Place, n: int, same: bool = False) -> tuple[bytes, bytes]:
    """Two bodies of n elements, of which half are in both."""
    n = most(place, n, BODY, same=same)
    return sized(place, n, same=same), sized(place, n, same=same, first=n // 2)


PLACES = places()
#: One place for each way of merging.
MERGES = list({rules(place): place for place in PLACES}.values())


#: Elements that have nothing are wrong in another way than those that have something.
BARE = [(place, True) for place in PLACES if place.field.shape.element.struct is not None]


@pytest.mark.parametrize(("place", "same"), [*((place, False) for place in PLACES), *BARE], ids=str)
def test_creating(place, same):
    def prepare(n):
        body, _ = _bodies(place, n, same)
        return lambda: _created(place, body)

    assert growth(prepare, ELEMENTS, RATIO) == ""


@pytest.mark.parametrize("place", [p for p in PLACES if p.field.shape.form == "list"], ids=str)
def test_updating(place):
    def prepare(n):
        old, new = _bodies(place, n)
        return lambda: _updated(place, old, new)

    assert growth(prepare, ELEMENTS, RATIO) == ""


@pytest.mark.parametrize("work", [_patched, _applied, _managed], ids=["patching", "applying", "managing"])
@pytest.mark.parametrize("place", MERGES, ids=str)
def test_merging(place, work):
    def prepare(n):
        old, new = _bodies(place, n)
        return lambda: work(place, old, new)

    assert growth(prepare, MERGED, RATIO) == ""


def test_every_kind_is_walked():
    assert {place.kind.resource for place in PLACES} > {"pods", "nodes", "services", "endpointslices"}
    assert len(PLACES) > 150


@pytest.mark.parametrize("element", [b"{}", b'{"name":"a"}', b'{"name":"Not a name"}'])
def test_errors_end_at_a_hundred(element):
    """900,000 empty containers took 41 seconds and gigabytes of errors."""
    body = b'{"metadata":{"name":"a"},"spec":{"containers":[%b]}}' % b",".join([element] * 200_000)
    pod = POD.rules.default(decode.decode(POD, body))
    found = gather(lambda: POD.rules.validate(pod))
    status = invalid_object("Pod", "a", found).body()
    assert len(status["details"]["causes"]) == 100
    assert "too many errors: only the first 100 are shown" in status["message"]


def test_a_long_key_is_not_told_with_every_value_below_it():
    body = b'{"spec":{"request":"","signerName":"a/b","extra":{"%b":[%b]}}}' % (
        b"k" * 1_000_000,
        b",".join([b"1"] * 200_000),
    )
    with pytest.raises(StatusError) as e:
        decode.decode(CERTIFICATE_SIGNING_REQUEST, body)
    assert len(e.value.message) < 2000


@pytest.mark.parametrize("count", [9, 50_000])
def test_a_patch_names_one_element_a_few_times(count):
    document = {"spec": {"containers": [{"name": "a", "resources": {"limits": {}}}]}}
    change = [{"name": "a", "resources": {"limits": {f"a{i}": "1"}}} for i in range(count)]
    with pytest.raises(StatusError, match="names one element more than 8 times"):
        patch.strategic_merge_patch(POD.type, document, {"spec": {"containers": change}})
    made = patch.strategic_merge_patch(POD.type, document, {"spec": {"containers": change[:8]}})
    assert len(made["spec"]["containers"][0]["resources"]["limits"]) == 8
