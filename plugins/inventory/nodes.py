# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory navarch.cluster.nodes. Documentation and the inventory's own business; each source is a file of
its own.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: nodes
short_description: The machines of a cluster
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Reads the nodes of a Navarch cluster, or of any other cluster that speaks the Kubernetes API, and makes
    each a host of group C(nodes).
  - The file's name must end in C(navarch.yml) or C(navarch.yaml).
  - What comes from the cluster is data. Templates in it, say in a label's value, are never evaluated.
extends_documentation_fragment:
  - navarch.cluster.auth
  - navarch.cluster.auth.plugin
  - constructed
  - inventory_cache
options:
  plugin:
    description: Says that the file is for this plugin.
    type: str
    required: true
    choices: [navarch.cluster.nodes]
  source:
    description: Where machines are looked for. V(cluster) is the cluster's own nodes.
    type: str
    choices: [cluster]
    default: cluster
  label_selectors:
    description: Only nodes whose labels match all of these.
    type: list
    elements: str
    default: []
  hostvars_prefix:
    description: Put before the name of each variable, other than C(ansible_host).
    type: str
    default: ''
notes:
  - Each host gets C(ansible_host) (its C(InternalIP)) and the variables C(addresses), C(labels),
    C(annotations), C(ready), C(schedulable), C(taints),
    C(capacity), C(allocatable) and C(zone).
seealso:
  - module: navarch.cluster.node_info
"""

EXAMPLES = r"""
# cluster.navarch.yml
plugin: navarch.cluster.nodes
kubeconfig: /etc/navarch/admin.conf
label_selectors:
  - kubernetes.io/os=linux
keyed_groups:
  - key: zone
    prefix: zone
groups:
  unwell: not ready
compose:
  cores: capacity.cpu | int
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /tmp/navarch-inventory
"""

import typing as t

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.navarch.cluster.plugins.module_utils.errors import ClusterError
from ansible_collections.navarch.cluster.plugins.plugin_utils import source_cluster
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import NodeRecord

SOURCES: dict[str, t.Callable[[t.Mapping[str, t.Any]], list[NodeRecord]]] = {
    "cluster": source_cluster.records
}


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    NAME = "navarch.cluster.nodes"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("navarch.yml", "navarch.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        self.inventory.add_group("nodes")
        for record in self._records(self.get_cache_key(path), cache):
            self._add(record)

    def _records(self, key: str, cache: bool) -> list[NodeRecord]:
        """From the cache where it is on and wanted, else from the source, which then fills the cache."""
        caching = self.get_option("cache")
        if caching and cache:
            try:
                return [NodeRecord.from_cache(cached) for cached in self._cache[key]]
            except KeyError:
                pass  # not there, or too old
        try:
            found = SOURCES[self.get_option("source")](self._options_of_source())
        except ClusterError as problem:
            raise AnsibleParserError(str(problem)) from None
        if caching:
            self._cache[key] = [record.to_cache() for record in found]
        return found

    def _options_of_source(self) -> dict[str, t.Any]:
        """The options, with templates in them (such as a lookup of the token) evaluated."""
        return {
            name: self.templar.template(value) if isinstance(value, str) else value
            for name, value in self.get_options().items()
        }

    def _add(self, record: NodeRecord) -> None:
        host, strict = record.name, self.get_option("strict")
        self.inventory.add_host(host, group="nodes")
        prefix = self.get_option("hostvars_prefix")
        variables = {prefix + name: value for name, value in record.variables.items()}
        if record.address:
            variables["ansible_host"] = record.address
        for name, value in variables.items():
            self.inventory.set_variable(host, name, value)
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)
