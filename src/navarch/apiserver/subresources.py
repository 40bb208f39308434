# SPDX-License-Identifier: GPL-3.0-or-later
"""Subresources: which are parts of the object (status and the like), which are acts (binding, eviction),
which lead to the node.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from navarch.api.authentication.tokenreview import TOKEN_REQUEST
from navarch.api.core.binding import BINDING
from navarch.api.machinery import errors
from navarch.api.policy.eviction import EVICTION
from navarch.apiserver.discovery import verbs_of
from navarch.apiserver.nodes import Nodes
from navarch.apiserver.request import Reply, Request
from navarch.apiserver.route import Options, Target
from navarch.apiserver.scale import Scales
from navarch.apiserver.verbs import Verbs, context, success
from navarch.registry.registry import Registry

_STREAMS = frozenset({"exec", "attach", "portforward"})
#: Those whose answers may last as long as their clients want.
LONG_RUNNING = _STREAMS | {"log", "proxy"}


class Subresources:
    def __init__(self, registry: Registry, verbs: Verbs, nodes: Nodes) -> None:
        self._registry = registry
        self._verbs = verbs
        self._nodes = nodes
        self._scales = Scales(registry, verbs)

    async def handle(self, x: Request, target: Target, options: Options, verb: str) -> Reply:
        name = target.subresource
        if name in target.kind.subresources and verb not in verbs_of(name):
            raise errors.method_not_allowed("the server does not allow this method on the requested resource")
        if name == "scale":
            return await self._scales.handle(x, target, options, verb)
        if target.kind.resource == "pods" and not target.kind.group:
            if name == "binding":
                return await self._bind(x, target, options)
            if name == "eviction":
                return await self._evict(x, target, options)
            if name == "log":
                return await self._nodes.log(x, target)
            if name in _STREAMS:
                return await self._nodes.stream(x, target)
        if name == "token" and target.kind.resource == "serviceaccounts":
            return await self._token(x, target, options)
        if verb == "get":
            return await self._verbs.get(x, target, options)
        if verb == "update":
            return await self._verbs.update(x, target, options)
        if verb == "patch":
            return await self._verbs.patch(x, target, options)
        raise errors.method_not_allowed("the server does not allow this method on the requested resource")

    async def _bind(self, x: Request, target: Target, options: Options) -> Reply:
        ctx = context(x, options)
        binding = await self._verbs.object(x, BINDING, ctx)
        _same_name(binding, target)
        await self._registry.bind(target.namespace, target.name, binding, ctx)
        return x.reply(201, _CREATED)

    async def _evict(self, x: Request, target: Target, options: Options) -> Reply:
        ctx = context(x, options)
        eviction = await self._verbs.object(x, EVICTION, ctx)
        _same_name(eviction, target)
        await self._registry.evict(target.namespace, target.name, eviction, ctx)
        return x.reply(201, _CREATED)

    async def _token(self, x: Request, target: Target, options: Options) -> Reply:
        ctx = context(x, options)
        requested = await self._verbs.object(x, TOKEN_REQUEST, ctx)
        _same_name(requested, target)
        requested = replace(requested, metadata=replace(requested.metadata, name=target.name))
        made = await self._registry.create(TOKEN_REQUEST, target.namespace, requested, ctx)
        return x.reply(201, made.value)


def _same_name(obj: Any, target: Target) -> None:
    """Raises StatusError 400."""
    given = obj.metadata.name
    if given and given != target.name:
        raise errors.bad_request(f"the name of the object ({given}) is not that of the URL ({target.name})")


_CREATED = success({}).replace(b',"details":{}', b',"code":201')
