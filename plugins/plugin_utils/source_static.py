# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory source: machines that the inventory file itself lists."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.module_utils._module.unknown_options import hold_known
from ansible_collections.navarch.cluster.plugins.plugin_utils.expressions import are_templates
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import NodeRecord

#: Nothing is fetched, so there is nothing to keep; and what the user's own file says may hold templates,
#: which a cache would make mere text.
CACHED = False
#: What a text has that is no list of addresses, such as that of a file which was not parsed.
_NO_NAME = re.compile(r"[\s{}'\"]")
_KEYS = {"name", "address", "instance_id", "variables"}


def spec() -> Spec:
    return {"hosts": {"type": "list", "elements": "raw", "required": True}}


def secrets(options: t.Mapping[str, t.Any]) -> set[str]:
    return set()


def records(options: t.Mapping[str, t.Any], problem: t.Callable[[str], None]) -> list[NodeRecord]:
    """The machines in the order of the list. One may be a mapping, or just its address."""
    return [_record(entry, "hosts[%d]" % at) for at, entry in enumerate(options["hosts"])]


def _record(entry: t.Any, where: str) -> NodeRecord:
    if isinstance(entry, str):
        entry = entry.strip()
        if _NO_NAME.search(entry):
            raise OptionError(where, "%r is no address" % entry)
        entry = {"name": entry, "address": entry}
    if not isinstance(entry, t.Mapping):
        raise OptionError(where, "must be an address, or a mapping with name or address")
    hold_known(entry, _KEYS, where + ".")
    name, address = entry.get("name") or entry.get("address"), entry.get("address")
    if not name:
        raise OptionError(where, "needs a name or an address")
    variables = entry.get("variables") or {}
    if not isinstance(variables, t.Mapping):
        raise OptionError(where + ".variables", "must be a mapping")
    identity = entry.get("instance_id")
    known = dict(variables, instance_name=str(name), **({"instance_id": str(identity)} if identity else {}))
    return NodeRecord(
        name=str(name),
        address=str(address) if address else None,
        variables=known,
        ids=(str(identity),) if identity else (),
        addresses=(str(address),) if address else (),
        host_names=(str(address),) if address else (),
        templates=are_templates(variables),
    )
