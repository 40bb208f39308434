# SPDX-License-Identifier: GPL-3.0-or-later
"""The scale subresource: the replicas of any kind that has them, as an autoscaling/v1 Scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from navarch.api.machinery import decode, errors, meta, selectors
from navarch.api.machinery.scheme import Kind
from navarch.apiserver.bodies import Scale, ScaleSpec, ScaleStatus
from navarch.apiserver.request import Reply, Request
from navarch.apiserver.route import Options, Target
from navarch.apiserver.verbs import Verbs, writing
from navarch.registry.context import Context, Stored
from navarch.registry.registry import Registry


def of(obj: Any) -> Scale:
    """The Scale of an object with spec.replicas."""
    spec, status = getattr(obj, "spec", None), getattr(obj, "status", None)
    selector = getattr(spec, "selector", None)
    if isinstance(selector, meta.LabelSelector):
        text = str(selectors.from_struct(selector))
    elif isinstance(selector, Mapping):
        text = str(selectors.from_map(selector))
    else:
        text = ""
    m = obj.metadata
    return Scale(
        kind="Scale",
        api_version="autoscaling/v1",
        metadata=meta.ObjectMeta(
            resource_version=m.resource_version,
            name=m.name,
            namespace=m.namespace,
            uid=m.uid,
            creation_timestamp=m.creation_timestamp,
        ),
        spec=ScaleSpec(replicas=getattr(spec, "replicas", None) or 0),
        status=ScaleStatus(replicas=getattr(status, "replicas", None) or 0, selector=text or None),
    )


class Scales:
    def __init__(self, registry: Registry, verbs: Verbs) -> None:
        self._registry = registry
        self._verbs = verbs

    async def handle(self, x: Request, target: Target, options: Options, verb: str) -> Reply:
        kind = target.kind
        ctx = writing(x, options)
        namespace = target.namespace or None
        if verb == "get":
            stored = self._registry.get(kind, namespace, target.name, ctx)
            return _answer(x, kind, stored)
        if verb == "update":
            wanted = await self._verbs.struct(x, Scale, "Scale")
        elif verb == "patch":
            stored = self._registry.get(kind, namespace, target.name, ctx)
            wanted = await self._patched(x, of(_object(kind, stored)), ctx)
        else:
            raise errors.method_not_allowed("the server does not allow this method on the requested resource")
        replicas = wanted.spec.replicas if wanted.spec is not None else None
        if replicas is None or replicas < 0:
            found = errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
            raise errors.invalid_object("Scale", target.name, [found], "autoscaling")
        change: dict[str, Any] = {"spec": {"replicas": replicas}}
        held = {"resourceVersion": wanted.metadata.resource_version, "uid": wanted.metadata.uid}
        given = {k: v for k, v in held.items() if v}
        if given and verb == "update":
            change["metadata"] = given
        stored = await self._registry.patch(kind, namespace, target.name, change, "merge", ctx)
        return _answer(x, kind, stored)

    async def _patched(self, x: Request, scale: Scale, ctx: Context) -> Scale:
        """A patch of the Scale; strategic is merge here: a Scale has no lists."""
        type, body = await self._verbs.patch_body(x, ctx)
        document: Any = msgspec.to_builtins(scale)
        if type == "apply":
            raise errors.unsupported_media_type(
                "a Scale cannot be applied: apply the object itself, or patch its scale"
            )
        if type == "json":
            from navarch.api.machinery import patch

            document = patch.json_patch(document, body)
        else:
            replicas = (
                (body.get("spec") or {}).get("replicas") if isinstance(body.get("spec") or {}, dict) else None
            )
            if replicas is not None:
                document["spec"] = {"replicas": replicas}
        return replace(decode.convert(Scale, document, "Scale"), metadata=meta.ObjectMeta())


def _object(kind: Kind[Any], stored: Stored) -> Any:
    return kind.decode(stored.value)


def _answer(x: Request, kind: Kind[Any], stored: Stored) -> Reply:
    return x.reply(200, msgspec.json.encode(of(_object(kind, stored))))
