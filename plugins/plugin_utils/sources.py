# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sources of an inventory: their options checked, all of them asked at once, one's failure told by name.

A source is a module with ``spec()`` (its options), ``secrets(options)`` (what must not be shown) and
``records(options, problem)``, which calls ``problem`` for each part that is missing from what it returns.
Adding one is adding its file, and its name below. Not here: what a source does, and what Ansible makes of it.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.navarch.cluster.plugins.module_utils.errors import ClusterError, OptionError
from ansible_collections.navarch.cluster.plugins.plugin_utils import (
    source_cluster,
    source_gce,
    source_libcloud,
    source_static,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import NodeRecord

TYPES: dict[str, t.Any] = {
    "cluster": source_cluster,
    "gce": source_gce,
    "libcloud": source_libcloud,
    "static": source_static,
}
COMMON: dict[str, t.Any] = {
    "type": {"type": "str", "choices": sorted(TYPES), "required": True},
    "name": {"type": "str"},
    "on_error": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
    "hostvars_prefix": {"type": "str"},
}
#: More sources than this wait for one another.
_AT_ONCE = 16


@dataclass
class Source:
    """One source of the file, its options checked. ``problems`` is what its last fetch lacked."""

    name: str
    module: t.Any
    options: dict[str, t.Any]
    hidden: set[str]
    problems: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def cached(self) -> bool:
        return bool(getattr(self.module, "CACHED", True))

    @property
    def key(self) -> str:
        """Changes with the options: a changed file is not answered from the cache. Holds no secret."""
        told = {name: value for name, value in self.options.items() if not self._is_secret(value)}
        return "%s-%s" % (
            self.name,
            hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16],
        )

    def _is_secret(self, value: t.Any) -> bool:
        text = json.dumps(value)
        return any(json.dumps(secret)[1:-1] in text for secret in self.hidden)

    def fetch(self) -> list[NodeRecord]:
        """The records, also when some or all of them are missing: ``problems`` tells."""
        self.problems, self.failed = [], False
        try:
            return list(self.module.records(self.options, self.problems.append))
        except ClusterError as failure:
            self.failed = True
            self.problems.append(_missing_library(failure) or str(failure))
            return []

    def told(self) -> str:
        """The problems as one line without secrets."""
        text = "; ".join(" ".join(problem.split()) for problem in self.problems)
        for secret in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(" ".join(secret.split()), "********")
        return "source %s: %s%s" % (self.name, "" if self.failed else "incomplete: ", text)


def checked(given: t.Any, inherited: t.Mapping[str, t.Any]) -> list[Source]:
    """The sources that an inventory file lists. A cluster's options may come from the file's top too."""
    if not isinstance(given, list) or not given:
        raise OptionError("sources", "must be a list of one source or more")
    sources: list[Source] = []
    for at, options in enumerate(given):
        where = "sources[%d]" % at
        if not isinstance(options, t.Mapping):
            raise OptionError(where, "must be a mapping with type")
        source = _checked(where, dict(options), inherited)
        if any(source.name == other.name for other in sources):
            if options.get("name"):
                raise OptionError(where + ".name", "another source is called %s too" % source.name)
            source.name = "%s-%d" % (source.name, at + 1)
        sources.append(source)
    return sources


def fetch(sources: t.Sequence[Source]) -> list[list[NodeRecord]]:
    """The records of each source. All are asked at the same time."""
    if not sources:
        return []
    with ThreadPoolExecutor(min(len(sources), _AT_ONCE), thread_name_prefix="source") as pool:
        return list(pool.map(Source.fetch, sources))


def _checked(where: str, options: dict[str, t.Any], inherited: t.Mapping[str, t.Any]) -> Source:
    kind = options.get("type")
    if kind not in TYPES:
        raise OptionError(where + ".type", "must be one of %s, not %s" % (", ".join(sorted(TYPES)), kind))
    module = TYPES[kind]
    spec = dict(COMMON, **module.spec())
    if kind == "cluster":
        options = {**{name: inherited[name] for name in spec if inherited.get(name) is not None}, **options}
    result = ArgumentSpecValidator(spec).validate(options)
    if result.error_messages:
        raise OptionError("%s (%s)" % (where, options.get("name") or kind), "; ".join(result.error_messages))
    params = dict(result.validated_parameters)
    return Source(params["name"] or kind, module, params, {one for one in module.secrets(params) if one})


def _missing_library(failure: ClusterError) -> str:
    missing = failure.details.get("missing")
    return "needs %s on this host: pip install %s" % (missing, missing) if missing else ""
