# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What differs between what was asked for and what the cluster has, and the patch that mends it.

Belongs here: comparing and patching of plain API objects by the rules of strategic merge patch. Not here:
HTTP, options. Only what was asked for counts: keys that are not asked for are the cluster's business
(defaults, other people's labels). A list that is asked for is meant whole; what the cluster itself adds to
lists is left alone.
"""

from __future__ import annotations

import typing as t

from .._api.quantity import same_quantity

Object = t.Dict[str, t.Any]
Path = t.Tuple[str, ...]
_MISSING = object()

#: Lists of objects and the keys that tell their members apart (the API reference's patch merge keys).
MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ports": ("containerPort", "port", "protocol"),  # of containers; of services
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "taints": ("key", "effect"),
}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
#: What the API takes where a probe says nothing, and an empty value says nothing to it.
_PROBE_DEFAULTS = {"periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}
_KEY_DEFAULTS = {"protocol": "TCP"}
_QUANTITY_PARENTS = frozenset(("limits", "requests", "hard", "capacity"))
#: Objects of which only one of these keys may be set: what is not asked for must go when another is asked
#: for.
_ONE_OF: dict[str, frozenset[str] | None] = {
    "volumes": None,  # None: every key but the merge key
    "valueFrom": None,
    "env": frozenset(("value", "valueFrom")),
    "livenessProbe": frozenset(("httpGet", "exec", "tcpSocket", "grpc")),
    "readinessProbe": frozenset(("httpGet", "exec", "tcpSocket", "grpc")),
    "startupProbe": frozenset(("httpGet", "exec", "tcpSocket", "grpc")),
}
#: Mappings of the user's own keys: there an empty value is not the same as none.
_FREE = frozenset(("annotations", "labels", "nodeSelector", "selector"))
_SERVER_TOLERATIONS = frozenset(("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"))
#: Keys whose presence says something even when they hold nothing.
_PRESENCE = frozenset(("emptyDir",))


def differences(asked: t.Any, live: t.Any, path: Path = ()) -> list[Path]:
    """The paths at which ``live`` is not as ``asked``. Members of lists are named by their key:
    ``containers[web]``.
    """
    key = path[-1].partition("[")[0] if path else ""
    if isinstance(asked, dict):
        if not asked and not live and (live is not None or key not in _PRESENCE):
            return []
        if live is None and asked:
            live = {}
        if not isinstance(live, dict):
            return [path]
        found = []
        for name, value in asked.items():
            found += differences(value, live.get(name), (*path, name))
        if _displaced(path, asked, live):
            found.append(path)
        return found
    if isinstance(asked, list):
        return _list_differences(asked, live if isinstance(live, list) else [], path)
    return [] if _same(asked, live, path) else [path]


def merge_patch(asked: t.Any, live: t.Any, path: Path = ()) -> t.Any:
    """The smallest strategic merge patch that makes ``live`` as asked; ``None`` when nothing differs."""
    if not differences(asked, live, path):
        return None
    if isinstance(asked, dict) and isinstance(live, dict):
        patch: Object = dict.fromkeys(_displaced(path, asked, live))
        for name, value in asked.items():
            part = merge_patch(value, live.get(name), (*path, name))
            if part is not None:
                patch[name] = part
        return patch
    if isinstance(asked, list) and isinstance(live, list) and path and path[-1] in MERGE_KEYS:
        return _list_patch(asked, live, path)
    if isinstance(asked, list) and path and path[-1] == "topologySpreadConstraints":
        # Two of them may have one topologyKey, by which alone other clusters tell them apart.
        return [{"$patch": "replace"}] + asked
    if isinstance(asked, list) and path and path[-1] == "tolerations":
        return asked + [
            item for item in live or [] if _server_added("tolerations", item) and item not in asked
        ]
    return asked


def plain_patch(asked: t.Any, live: t.Any, path: Path = ()) -> t.Any:
    """The JSON merge patch (RFC 7386) that makes ``live`` as asked, for kinds of whose lists nothing is known
    beforehand: in it a list is whole. Its known members keep what the cluster has put into them.
    """
    if isinstance(asked, dict) and isinstance(live, dict):
        patch: Object = dict.fromkeys(_displaced(path, asked, live))
        for name, value in asked.items():
            if differences(value, live.get(name), (*path, name)):
                patch[name] = plain_patch(value, live.get(name), (*path, name))
        return patch
    if isinstance(asked, list):
        return _whole_list(asked, live if isinstance(live, list) else [], path)
    return asked


def whole_at(*paths: Path) -> t.Callable[[Object, Object], Object]:
    """A function of (asked, live) giving ``asked`` with the mappings at these paths meant whole: what else
    ``live`` has in them shall go.
    """
    return lambda asked, live: _with_whole(asked, live, paths)


def _with_whole(asked: Object, live: Object, paths: t.Sequence[Path]) -> Object:
    for path in paths:
        if path[0] not in asked or path[0] not in live:
            continue
        if len(path) > 1:
            part = _with_whole(asked[path[0]], live[path[0]], [path[1:]])
        else:
            part = dict(dict.fromkeys(live[path[0]] or ()), **asked[path[0]])
        asked = dict(asked, **{path[0]: part})
    return asked


def members_by_key(name: str, items: t.Any) -> dict[tuple[str, ...], t.Any]:
    """The members of the list called ``name`` by what tells them apart; nothing where nothing does."""
    if not isinstance(items, list) or not _keyed(name, items):
        return {}
    return {_key(name, item): item for item in items}


def _overlay(asked: t.Any, live: t.Any, path: Path) -> t.Any:
    """``live`` with everything in it that was asked for."""
    if isinstance(asked, dict) and isinstance(live, dict):
        made = {key: value for key, value in live.items() if key not in _displaced(path, asked, live)}
        made.update({key: _overlay(value, live.get(key), (*path, key)) for key, value in asked.items()})
        return {key: value for key, value in made.items() if value is not None}
    if isinstance(asked, list):
        return _whole_list(asked, live if isinstance(live, list) else [], path)
    return asked


def _whole_list(asked: list[t.Any], live: list[t.Any], path: Path) -> list[t.Any]:
    name = path[-1] if path else ""
    added = [item for item in live if item not in asked and _server_added(name, item)]
    if not _keyed(name, asked):
        return asked + added
    there = {_key(name, item): item for item in live if isinstance(item, dict)}
    made = []
    for item in asked:
        key = _key(name, item)
        made.append(_overlay(item, there.get(key, {}), _member(path, key)))
    return made + added


def _keyed(name: str, items: list[t.Any]) -> bool:
    """Whether the members of this list can be told apart by their keys. The API itself takes two variables
    of one name, and ports of one number on several addresses.
    """
    return (
        name in MERGE_KEYS
        and all(
            isinstance(item, dict) and any(item.get(key) is not None for key in MERGE_KEYS[name])
            for item in items
        )
        and len({_key(name, item) for item in items}) == len(items)
    )


def _list_differences(asked: list[t.Any], live: list[t.Any], path: Path) -> list[Path]:
    name = path[-1] if path else ""
    live = [item for item in live if item in asked or not _server_added(name, item)]
    if not _keyed(name, asked) or not _keyed(name, live):
        if len(asked) != len(live):
            return [path]
        return [path] if any(differences(asked[i], live[i], (*path, "")) for i in range(len(asked))) else []
    found = []
    there = {_key(name, item): item for item in live}
    for item in asked:
        key = _key(name, item)
        member = _member(path, key)
        if key in there:
            found += differences(item, there.pop(key), member)
        else:
            found.append(member)
    return found + [_member(path, key) for key in there]


def _list_patch(asked: list[t.Any], live: list[t.Any], path: Path) -> list[t.Any]:
    name = path[-1]
    merge_key = MERGE_KEYS[name][0]
    added = [item for item in live if item not in asked and _server_added(name, item)]
    live = [item for item in live if item not in added]
    if not _keyed(name, asked) or not _keyed(name, live):
        return [{"$patch": "replace"}] + asked + added
    there = {_key(name, item): item for item in live}
    plain = [item.get(merge_key) for item in asked + live]
    if name == "ports" and (
        len({str(p) for p in plain[: len(asked)]}) < len(asked)
        or len({str(p) for p in plain[len(asked) :]}) < len(live)
    ):
        return [
            {"$patch": "replace"}
        ] + asked  # one number, two protocols: the merge key does not tell them apart
    patch: list[t.Any] = []
    for item in asked:
        key = _key(name, item)
        member = _member(path, key)
        if key not in there:
            patch.append(item)
            continue
        part = merge_patch(item, there.pop(key), member)
        if part is not None:
            patch.append(dict(part, **{merge_key: item[merge_key]}))
    kept = {str(item.get(merge_key)) for item in asked}
    patch += [
        {"$patch": "delete", merge_key: item[merge_key]}
        for item in there.values()
        if str(item.get(merge_key)) not in kept
    ]
    return patch


def _member(path: Path, key: tuple[str, ...]) -> Path:
    return (*path[:-1], "%s[%s]" % (path[-1], "/".join(part for part in key if part)))


def _key(name: str, item: Object) -> tuple[str, ...]:
    return tuple(str(item.get(part, _KEY_DEFAULTS.get(part, ""))) for part in MERGE_KEYS[name])


def _displaced(path: Path, asked: Object, live: Object) -> list[str]:
    """Keys of ``live`` that cannot stay beside what is asked for."""
    name = path[-1].partition("[")[0] if path else ""
    if name not in _ONE_OF:
        return []
    rivals = _ONE_OF[name]
    if rivals is None:
        rivals = (frozenset(live) | frozenset(asked)) - frozenset(MERGE_KEYS.get(name, ()))
    if not rivals & frozenset(asked) and name != "env":
        return []
    return sorted(k for k in rivals if k in live and k not in asked and live[k] is not None)


def _server_added(name: str, item: t.Any) -> bool:
    """What the cluster puts into lists: the service account's token, marks of failing nodes."""
    if not isinstance(item, dict):
        return False
    if name in ("volumes", "volumeMounts"):
        return str(item.get("name", "")).startswith("kube-api-access-")
    if name == "taints":
        return str(item.get("key", "")).startswith("node.kubernetes.io/")
    if name == "tolerations":
        return item.get("key") in _SERVER_TOLERATIONS and item.get("effect") == "NoExecute"
    return False


def _same(asked: t.Any, live: t.Any, path: Path) -> bool:
    if asked == live and isinstance(asked, bool) == isinstance(live, bool):
        return True
    if len(path) > 1 and (path[-2] in _QUANTITY_PARENTS or path[-1] == "sizeLimit"):
        return live is not None and same_quantity(asked, live)
    if asked in ("", 0) and live is not None and len(path) > 1:
        if path[-2] in _PROBES and live == _PROBE_DEFAULTS.get(path[-1]):
            return True
        if path[-2:] == ("httpGet", "path") and live == "/":
            return True
    if live is None:
        if len(path) > 1 and path[-2] in _FREE:
            return False
        return asked in ("", 0)  # which False is too
    if isinstance(asked, bool) or isinstance(live, bool):
        return False
    return str(asked) == str(live)
