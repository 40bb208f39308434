# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory navarch.cluster.nodes. Documentation and the inventory's own business; each source is a file of
its own.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: nodes
short_description: Machines of clouds and of the cluster itself
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Finds machines in several places at once, in Google Compute Engine, in every other cloud that
    apache-libcloud knows, in a list of your own, and in a cluster that speaks the Kubernetes API.
    All of them become hosts of group C(nodes).
  - A machine that several sources know, by an instance id or an address, is one host with the variables of
    all of them. So what the cluster says of a node (C(ready), C(schedulable), C(pods)) stands beside what the
    cloud says of the machine. Two machines of clouds are never taken for one because of a private address,
    and neither are two nodes of clusters, nor a node whose C(providerID) names one cloud and a machine of
    another. Host names count between a cluster and a list alone.
  - The file's name must end in C(navarch.yml) or C(navarch.yaml).
  - What comes from clouds and clusters is data. Templates in it, say in a label's value, are never evaluated.
    Values in the file itself may be templates, such as a lookup of a token.
extends_documentation_fragment:
  - navarch.cluster.auth
  - navarch.cluster.auth.plugin
  - navarch.cluster.nodes_sources
  - constructed
  - inventory_cache
options:
  plugin:
    description: Says that the file is for this plugin.
    type: str
    required: true
    choices: [navarch.cluster.nodes]
  label_selectors:
    description: For sources of type V(cluster), only nodes whose labels match all of these.
    type: list
    elements: str
    default: []
  hostnames:
    description:
      - Names of variables, of which the first that has a value names the host. Within mappings by dots, such
        as C(labels.role) or C(details.fqdn).
      - Without any, the machine's own name.
      - Of machines that would have the same name, the first in the file gets it, and the others get their
        instance id behind it, else their address, else a number.
    type: list
    elements: str
    default: []
  connect_by:
    description:
      - Names of variables, of which the first that has a value becomes C(ansible_host).
      - By default the address of the first source that knows one. That is the public address of a cloud's
        machine, else its private one, and the C(InternalIP) of a cluster's node.
    type: list
    elements: str
    default: []
  merge_by:
    description: By what machines of several sources are one. Empty keeps the sources apart.
    type: list
    elements: str
    choices: [instance_id, address]
    default: [instance_id, address]
  include:
    description: Conditions on a host's variables. If there are any, only hosts for which one holds are kept.
    type: list
    elements: str
    default: []
  exclude:
    description: Conditions on a host's variables. Hosts for which one holds are left out.
    type: list
    elements: str
    default: []
  hostvars_prefix:
    description: Put before the name of each variable, other than C(ansible_host).
    type: str
    default: ''
notes:
  - "Every host has C(sources), the names of the sources that know it. Where sources tell different values of
    a
    variable the one that comes first in the file counts. Mappings such as C(labels) are put together."
  - "Hosts of V(gce) and V(libcloud) have C(provider), C(instance_name), C(instance_id), C(status) (the
    cloud's
    own word), C(running), C(project), C(region), C(zone), C(size), C(image), C(public_ip), C(private_ip),
    C(public_ips), C(private_ips), C(networks), C(labels), C(instance_tags), C(metadata), C(created), and
    C(details) with what only this cloud has."
  - "Each of C(networks) has C(name), C(subnetwork), C(interface), C(private_ip), C(public_ip),
    C(private_ipv6),
    C(public_ipv6) and C(ranges). The C(details) of V(gce) are C(fqdn), C(self_link), C(can_ip_forward),
    C(deletion_protection), C(cpu_platform), C(spot), C(service_accounts) and C(disks)."
  - "Hosts of V(cluster) have C(node_name), C(addresses), C(labels), C(annotations), C(ready), C(schedulable),
    C(taints), C(capacity), C(allocatable), C(pods) (namespace/name of those that have not finished) and
    C(zone)."
  - Hosts of V(static) have C(instance_name), C(instance_id) where it is given, and their C(variables).
  - Conditions, and the templates of C(compose), C(groups) and C(keyed_groups), see the variables with their
    prefix, and C(ansible_host).
  - The cache keeps what clouds and clusters answered, and none of the credentials. An answer that lacked
    something is not kept. Other options of a source make it ask anew, and so do other credentials and another
    cluster, be they in a file that an option names or in the environment.
requirements:
  - google-auth (for GCE, other than with O(sources[].access_token))
  - apache-libcloud (for all other clouds)
seealso:
  - module: navarch.cluster.node_info
  - module: navarch.cluster.cloud_node
"""

EXAMPLES = r"""
# cluster.navarch.yml: the nodes of a cluster
plugin: navarch.cluster.nodes
kubeconfig: /etc/navarch/admin.conf
keyed_groups:
  - key: zone
    prefix: zone
groups:
  unwell: not ready
compose:
  cores: capacity.cpu | int

---
# fleet.navarch.yml: two clouds, a machine in the cellar, and what the cluster knows of them
plugin: navarch.cluster.nodes
sources:
  - type: gce
    name: production
    service_account_file: /etc/navarch/gce.json
    folders: ["123456789012"]
    filters:
      - labels.cluster = ship
      - status = RUNNING
  - type: libcloud
    name: frankfurt
    provider: ec2
    region: eu-central-1
    key: "{{ lookup('ansible.builtin.env', 'AWS_ACCESS_KEY_ID') }}"
    secret: "{{ lookup('ansible.builtin.env', 'AWS_SECRET_ACCESS_KEY') }}"
    on_error: warn
  - type: static
    hosts:
      - name: cellar
        address: 192.0.2.7
        variables:
          zone: home
  - type: cluster
    kubeconfig: /etc/navarch/admin.conf
hostnames: [labels.hostname, instance_name]
connect_by: [private_ip]
exclude:
  - labels.role | default('') == 'bastion'
groups:
  not_joined: "'cluster' not in sources"
keyed_groups:
  - key: provider | default('none')
    prefix: cloud
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/navarch-inventory
"""

import gc
import typing as t
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError
from ansible_collections.navarch.cluster.plugins.plugin_utils import sources
from ansible_collections.navarch.cluster.plugins.plugin_utils.expressions import Evaluator
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import (
    hold_file_name,
    hold_options,
    is_for,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import Merge, NodeRecord

ENDINGS = ("navarch.yml", "navarch.yaml")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    NAME = "navarch.cluster.nodes"

    def __init__(self) -> None:
        super().__init__()
        self._checked: set[str] = set()

    def verify_file(self, path: str) -> bool:
        """Also a file for this plugin with another name, so that ``parse`` says what is wrong with it."""
        return super().verify_file(path) and (path.endswith(ENDINGS) or is_for(self.NAME, path))

    def _read(self, path: str) -> None:
        """Takes the options of the file, which must all be this plugin's."""
        try:
            hold_file_name(self.NAME, path, ENDINGS)
            hold_options(self, self._read_config_data(path), apart=("sources",))
        except ClusterError as problem:
            raise AnsibleParserError("%s: %s" % (self.NAME, problem)) from None

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read(path)
        with _uncollected():
            self._parse(path, cache)

    def _parse(self, path: str, cache: bool) -> None:
        self.templar = Evaluator(self.templar, self._vars if self.get_option("use_extra_vars") else None)
        self.inventory.add_group("nodes")
        merge = Merge(self.get_option("merge_by"))
        try:
            wanted = self._sources()
            for source, records in zip(
                wanted, self._records(wanted, self.get_cache_key(path), cache), strict=True
            ):
                merge.add(source.name, [self._prefixed(source, record) for record in records])
        except ClusterError as problem:
            raise AnsibleParserError(str(problem)) from None
        hosts = merge.hosts()
        for doubt in merge.doubts:
            self.display.warning(doubt)
        self._add_all(hosts)

    def _sources(self) -> list[sources.Source]:
        options = self.get_options()
        given = options["sources"] or [{"type": "cluster"}]
        evaluated = [self._evaluated(one) for one in given] if isinstance(given, list) else given
        inherited = {
            name: self.templar.template(options[name]) for name in sources.INHERITED if name in options
        }
        return sources.checked(evaluated, inherited)

    def _evaluated(self, source: t.Any) -> t.Any:
        """A source without templates, other than in the variables of a list: those are the hosts' own."""
        template = self.templar.template
        if not isinstance(source, dict) or source.get("type") != "static":
            return template(source)
        known = {name: template(value) for name, value in source.items() if name != "hosts"}
        if "hosts" not in source:
            return known
        hosts = source["hosts"] if isinstance(source["hosts"], list) else template(source["hosts"])
        if not isinstance(hosts, list):
            return dict(known, hosts=hosts)
        return dict(known, hosts=[self._entry(entry) for entry in hosts])

    def _entry(self, entry: t.Any) -> t.Any:
        entry = entry if isinstance(entry, dict) else self.templar.template(entry)
        if not isinstance(entry, dict):
            return entry
        return {
            name: value if isinstance(value, dict) else self.templar.template(value)
            for name, value in entry.items()
        }

    def _records(self, wanted: list[sources.Source], key: str, cache: bool) -> list[list[NodeRecord]]:
        """Of each source from the cache where that is on and wanted, else from the source itself."""
        caching = self.get_option("cache")
        kept: dict[str, t.Any] = {}
        if caching and cache:
            try:
                kept = self._cache[key]
            except KeyError:
                pass  # not there, or too old
        keys = {source.name: source.key for source in wanted if caching and source.cached}
        asked = [source for source in wanted if keys.get(source.name) not in kept]
        found = {source.name: records for source, records in zip(asked, sources.fetch(asked), strict=True)}
        for source in asked:
            if source.problems and source.options["on_error"] == "fail":
                raise ClusterError(source.told())
            if source.problems:
                self.display.warning(source.told())
        fresh = {
            keys[source.name]: [record.to_cache() for record in found[source.name]]
            for source in asked
            if source.name in keys and not source.problems
        }
        if any(source.name in keys for source in asked):
            self._cache[key] = {**{one: kept[one] for one in kept if one in keys.values()}, **fresh}
        return [
            found[source.name]
            if source.name in found
            else [NodeRecord.from_cache(one) for one in kept[keys[source.name]]]
            for source in wanted
        ]

    def _prefixed(self, source: sources.Source, record: NodeRecord) -> NodeRecord:
        prefix = source.options["hostvars_prefix"]
        if prefix is None:
            prefix = self.get_option("hostvars_prefix")
        if not prefix:
            return record
        return replace(record, variables={prefix + name: value for name, value in record.variables.items()})

    def _add_all(self, records: list[NodeRecord]) -> None:
        """Makes hosts of machines. Names are given out in the records' order."""
        wanted, taken, doubled = self.get_option("hostnames"), set(), []
        for record in records:
            variables = dict(record.variables)
            self.templar.templates = record.templates
            address = _first(variables, self.get_option("connect_by")) or record.address
            if address:
                variables["ansible_host"] = address
            name = str(self._name(record, variables, wanted) or record.name)
            if name in taken:
                doubled.append(name)
                name = next(one for one in _others(name, record) if one not in taken)
            if not self._kept(name, variables):
                continue
            taken.add(name)
            self._add(name, variables)
        if doubled:
            self.display.warning(
                "%d machines share the name of another (%s), and got their instance id, address or a number "
                "behind it: the option hostnames can tell them apart"
                % (len(doubled), ", ".join(sorted(set(doubled))[:3]))
            )

    def _name(self, record: NodeRecord, variables: dict[str, t.Any], wanted: list[str]) -> t.Any:
        if not record.templates:
            return _first(variables, wanted)
        self.templar.available_variables = variables
        return _first(variables, wanted, self._seen)

    def _seen(self, value: t.Any) -> t.Any:
        try:
            return self.templar.template(value) if isinstance(value, str) else value
        except AnsibleError:
            if self.get_option("strict"):
                raise
            return None

    def _kept(self, name: str, variables: dict[str, t.Any]) -> bool:
        """Whether the conditions of ``include`` and ``exclude`` let a host be."""
        if self._holds("exclude", name, variables):
            return False
        return not self.get_option("include") or self._holds("include", name, variables)

    def _holds(self, option: str, name: str, variables: dict[str, t.Any]) -> bool:
        conditions = self.get_option(option)
        if conditions:
            self.templar.available_variables = dict(variables, inventory_hostname=name)
        for condition in conditions:
            try:
                if self.templar.evaluate_conditional(condition):
                    return True
            except AnsibleError as problem:
                if self.get_option("strict"):
                    raise AnsibleParserError(
                        "%s: %s: for host %s: %s" % (option, condition, name, problem)
                    ) from None
        return False

    def _add(self, name: str, variables: dict[str, t.Any]) -> None:
        strict = self.get_option("strict")
        self.inventory.add_host(name, group="nodes")
        host = self.inventory.hosts[name]
        for variable in variables.keys() - self._checked:
            host.set_variable(variable, variables[variable])  # which checks its name: once is enough
        self._checked |= variables.keys()
        host.vars.update(variables)
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        seen = host.get_vars()
        self._add_host_to_composed_groups(self.get_option("groups"), seen, name, strict, fetch_hostvars=False)
        self._add_host_to_keyed_groups(
            self.get_option("keyed_groups"), seen, name, strict, fetch_hostvars=False
        )


@contextmanager
def _uncollected() -> t.Iterator[None]:
    """Nothing here is garbage: each look of the collector would be at all the hosts made so far."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _others(name: str, record: NodeRecord) -> t.Iterator[str]:
    """Names for a machine whose own is taken."""
    short = [one for one in record.ids if "/" not in one]
    yield from ("%s_%s" % (name, mark) for mark in (*short[:1], record.address) if mark)
    yield from ("%s_%d" % (name, number) for number in count(2))


def _first(
    variables: dict[str, t.Any], paths: list[str], seen: t.Callable[[t.Any], t.Any] = lambda value: value
) -> t.Any:
    """The first value that is there, by paths with dots, also where a key itself has dots, as labels do."""
    for path in paths:
        value: t.Any = variables
        while path and isinstance(value, dict):
            if path in value:
                value, path = seen(value[path]), ""
                break
            head, _dot, path = path.partition(".")
            value = seen(value.get(head))
        if value and not path and isinstance(value, (str, int)):
            return value
    return None
