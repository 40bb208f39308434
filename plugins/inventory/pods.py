# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory navarch.cluster.pods. Documentation and the inventory's own business; pods are read in
``plugin_utils.pod_records``.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: pods
short_description: Running pods and containers as hosts
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Makes hosts of the running pods of a Navarch cluster, or of any other cluster that speaks the Kubernetes
    API. All of them are in group C(pods), and plays run in them by the connection plugin
    P(navarch.cluster.pod#connection), without further settings.
  - The file's name must end in C(navarch_pods.yml) or C(navarch_pods.yaml).
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
    choices: [navarch.cluster.pods]
  namespaces:
    description: Only pods of these namespaces. By default those of all.
    type: list
    elements: str
    default: []
  label_selectors:
    description: Only pods whose labels match all of these, such as V(app=web).
    type: list
    elements: str
    default: []
  field_selectors:
    description: Only pods whose fields match all of these, such as V(spec.nodeName=node-1).
    type: list
    elements: str
    default: []
  phases:
    description:
      - Only pods in these phases, of V(Pending), V(Running), V(Succeeded), V(Failed) and V(Unknown).
      - An empty list is for all.
    type: list
    elements: str
    default: [Running]
  containers:
    description:
      - Which containers of a pod are hosts - V(all), or only the V(default) one. That is the one that
        annotation C(kubectl.kubernetes.io/default-container) names, or the first.
      - Of running pods only containers that run are hosts.
    type: str
    choices: [default, all]
    default: default
  hostnames:
    description:
      - Expressions of Jinja2 on the host's variables. The first that gives a name is the host's.
      - The containers of a pod that are not the default one get theirs and a dot put before it.
    type: list
    elements: str
    default:
      - pod_name ~ '.' ~ pod_namespace
  group_by:
    description:
      - What groups are made of, with the names C(namespace_NAME), C(node_NAME), C(phase_NAME),
        C(owner_KIND_NAME) and C(label_KEY_VALUE). Characters that a group's name cannot have become C(_).
      - One or more of V(namespace), V(node), V(phase), V(owner) and V(label).
    type: list
    elements: str
    default: [namespace, node, phase, owner, label]
  hostvars_prefix:
    description: Put before the names of the variables that come from the cluster.
    type: str
    default: pod_
notes:
  - Each host gets the variables C(pod_name), C(pod_namespace), C(pod_container), C(pod_default_container),
    C(pod_containers), C(pod_image), C(pod_node), C(pod_phase), C(pod_ready), C(pod_restarts), C(pod_ip),
    C(pod_host_ip), C(pod_labels), C(pod_annotations), C(pod_owner), C(pod_service_account),
    C(pod_start_time) and C(pod_uid).
  - Each host gets what the connection needs besides (C(ansible_connection), C(ansible_pod_namespace) and so
    on), but no secrets. Where the cluster is reached by O(api_key), or by keys that are given as text, set
    C(ansible_pod_api_key) or E(K8S_AUTH_API_KEY) for the connection.
  - The cache answers only what was asked before, of the same cluster and with the same credentials, which it
    does not hold.
seealso:
  - plugin: navarch.cluster.pod
    plugin_type: connection
  - module: navarch.cluster.pod_info
"""

EXAMPLES = r"""
# web.navarch_pods.yml
plugin: navarch.cluster.pods
kubeconfig: /etc/navarch/admin.conf
namespaces: [default]
label_selectors:
  - app=web
keyed_groups:
  - key: pod_image
    prefix: image
groups:
  restarted: pod_restarts > 0
compose:
  rank: pod_name.split('-') | last
# A play then says - hosts: pods
"""

import typing as t

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError, OptionError
from ansible_collections.navarch.cluster.plugins.plugin_utils import pod_records
from ansible_collections.navarch.cluster.plugins.plugin_utils.expressions import Evaluator
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import (
    hold_file_name,
    hold_options,
    is_for,
)

ENDINGS = ("navarch_pods.yml", "navarch_pods.yaml")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    NAME = "navarch.cluster.pods"

    def verify_file(self, path: str) -> bool:
        """Also a file for this plugin with another name, so that ``parse`` says what is wrong with it."""
        return super().verify_file(path) and (path.endswith(ENDINGS) or is_for(self.NAME, path))

    def _read(self, path: str) -> None:
        """Takes the options of the file, which must all be this plugin's."""
        try:
            hold_file_name(self.NAME, path, ENDINGS)
            hold_options(self, self._read_config_data(path))
        except ClusterError as problem:
            raise AnsibleParserError("%s: %s" % (self.NAME, problem)) from None

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read(path)
        self.templar = Evaluator(self.templar, self._vars if self.get_option("use_extra_vars") else None)
        self.inventory.add_group("pods")
        options = {
            name: self.templar.template(value) if isinstance(value, str) else value
            for name, value in self.get_options().items()
        }
        try:
            pod_records.check(options)
            found = self._records(options, self.get_cache_key(path), cache)
            connection = pod_records.connection(options)
            for record in found:
                self._add(record, connection)
        except ClusterError as problem:
            raise AnsibleParserError(str(problem)) from None

    def _records(self, options: t.Mapping[str, t.Any], key: str, cache: bool) -> list[pod_records.Record]:
        """From the cache where it is on and wanted, else from the cluster, which then fills the cache."""
        if not self.get_option("cache"):
            return pod_records.records(options)
        asked = pod_records.key(options)
        if cache:
            try:
                kept = self._cache[key]
            except KeyError:
                kept = None  # not there, or too old
            if isinstance(kept, dict) and kept.get("asked") == asked:
                return list(kept["found"])
        found = pod_records.records(options)
        self._cache[key] = {"asked": asked, "found": found}
        return found

    def _add(self, record: pod_records.Record, connection: t.Mapping[str, t.Any]) -> None:
        prefix, strict = self.get_option("hostvars_prefix"), self.get_option("strict")
        variables = {prefix + name: value for name, value in record.items()}
        host = self._hostname(record, variables)
        variables.update(
            connection,
            ansible_connection="navarch.cluster.pod",
            ansible_pod_namespace=record["namespace"],
            ansible_pod_name=record["name"],
            ansible_pod_container=record["container"],
        )
        self.inventory.add_host(host, group="pods")
        for name, value in variables.items():
            self.inventory.set_variable(host, name, value)
        for kind in self.get_option("group_by"):
            for group in pod_records.GROUPS[kind](record):
                self.inventory.add_host(
                    host, group=self.inventory.add_group(self._sanitize_group_name(group))
                )
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)

    def _hostname(self, record: pod_records.Record, variables: t.Mapping[str, t.Any]) -> str:
        where = "%s of pod %s/%s" % (record["container"], record["namespace"], record["name"])
        host = ""
        for expression in self.get_option("hostnames"):
            try:
                host = str(self._compose(expression, variables) or "")
            except Exception as problem:
                if self.get_option("strict"):
                    raise OptionError("hostnames", "%s for %s: %s" % (expression, where, problem)) from None
            if host:
                break
        if not host:
            raise OptionError("hostnames", "no expression gives a name for container %s" % where)
        if not record["default_container"]:
            host = "%s.%s" % (record["container"], host)
        if host in self.inventory.hosts:
            raise OptionError("hostnames", "%s is the name of two hosts, one of them %s" % (host, where))
        return host
