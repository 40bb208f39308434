# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sources of an inventory: their options checked, all of them asked at once, one's failure told by name.

A source is a module with ``spec()`` (its options), ``secrets(options)`` (what must not be shown) and
``records(options, problem)``, which calls ``problem`` for each part that is missing from what it returns.
Where files or the environment say who is asked, or who asks, ``identity(options)`` tells of them.
Adding one is adding its file, and its name below. Not here: what a source does, and what Ansible makes of it.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, count

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError, OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._module.unknown_options import hold_known
from ansible_collections.navarch.cluster.plugins.plugin_utils import (
    source_cluster,
    source_gce,
    source_libcloud,
    source_static,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils.cache_key import digest
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
#: Options of a cluster that may stand at the top of the file.
INHERITED = set(source_cluster.spec()) | {"hostvars_prefix"}
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
        """Changes with the options, and with who is asked and who asks: what another cluster or account has
        is not answered from the cache."""
        identity: t.Any = None
        if hasattr(self.module, "identity"):
            try:
                identity = self.module.identity(self.options)
            except Exception as failure:  # which asking will end in too, and tell
                identity = str(failure)
        return "%s-%s" % (self.name, digest([self.options, identity]))

    def fetch(self) -> list[NodeRecord]:
        """The records, also when some or all of them are missing: ``problems`` tells."""
        self.problems, self.failed = [], False
        try:
            return list(self.module.records(self.options, self.problems.append))
        except ClusterError as failure:
            self.failed = True
            self.problems.append(_missing_library(failure) or str(failure))
        except Exception as failure:  # of answers that nobody thought of: no reason to end the other sources
            self.failed = True
            self.problems.append("%s: %s" % (type(failure).__name__, failure))
        return []

    def told(self) -> str:
        """The problems as one line without secrets."""
        text = "; ".join(" ".join(problem.split()) for problem in self.problems)
        for secret in sorted(self.hidden, key=len, reverse=True):
            for form in (secret, repr(secret)[1:-1]):  # as it is, and as Python's own errors write it
                text = text.replace(" ".join(form.split()), "********")
        return "source %s: %s%s" % (self.name, "" if self.failed else "incomplete: ", text)


def checked(given: t.Any, inherited: t.Mapping[str, t.Any]) -> list[Source]:
    """The sources that an inventory file lists. A cluster's options may come from the file's top too."""
    if not isinstance(given, list) or not given:
        raise OptionError("sources", "must be a list of one source or more")
    sources: list[Source] = []
    given_names = {str(one["name"]) for one in given if isinstance(one, t.Mapping) and one.get("name")}
    for at, options in enumerate(given):
        where = "sources[%d]" % at
        if not isinstance(options, t.Mapping):
            raise OptionError(where, "must be a mapping with type")
        source = _checked(where, dict(options), inherited)
        taken = {other.name for other in sources}
        if options.get("name"):
            if source.name in taken:
                raise OptionError(where + ".name", "another source is called %s too" % source.name)
        else:
            taken |= given_names
            numbered = map((source.name + "-%d").__mod__, count(at + 1))
            source.name = next(one for one in chain((source.name,), numbered) if one not in taken)
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
    if not isinstance(kind, str) or kind not in TYPES:
        raise OptionError(where + ".type", "must be one of %s, not %s" % (", ".join(sorted(TYPES)), kind))
    module = TYPES[kind]
    spec = dict(COMMON, **module.spec())
    if kind == "cluster":
        above = {name: inherited[name] for name in INHERITED if inherited.get(name) is not None}
        options = {**above, **options}
    title = "%s (%s)" % (where, options.get("name") or kind)
    hold_known(options, {*spec, *chain(*(one.get("aliases") or () for one in spec.values()))}, title + ": ")
    result = ArgumentSpecValidator(spec).validate(options)
    if result.error_messages:
        raise OptionError(title, "; ".join(str(getattr(error, "msg", error)) for error in result.errors))
    params = dict(result.validated_parameters)
    return Source(params["name"] or kind, module, params, {one for one in module.secrets(params) if one})


def _missing_library(failure: ClusterError) -> str:
    missing = failure.details.get("missing")
    return "needs %s on this host: pip install %s" % (missing, missing) if missing else ""
