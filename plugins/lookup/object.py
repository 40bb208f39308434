# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup navarch.cluster.object. Only documentation and wiring belong here."""

from __future__ import annotations

DOCUMENTATION = r"""
name: object
short_description: Objects of the cluster, where a value is wanted
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Returns objects of any kind that a Navarch cluster, or any other cluster that speaks the Kubernetes API,
    has.
  - What Secrets hold is returned as it is, in base64. Use C(no_log) where it must not be shown.
extends_documentation_fragment:
  - navarch.cluster.auth
  - navarch.cluster.auth.plugin
  - navarch.cluster.selectors
options:
  _terms:
    description: Names of objects. Without any, all that the other options select.
    type: list
    elements: str
  name:
    description: Name of an object, as another of the terms.
    type: str
    aliases: [resource_name]
  kind:
    description: The kind, as objects write it, such as V(Service), or its plural or short name.
    type: str
    required: true
  api_version:
    description:
      - Group and version of the API that has the kind, such as V(v1) or V(apps/v1).
      - By default all groups are looked through, the core first.
    type: str
  namespace:
    description: Namespace to look into. By default all of them, or V(default) where names are given.
    type: str
seealso:
  - module: navarch.cluster.object_info
"""

EXAMPLES = r"""
- name: Show the address of a service
  ansible.builtin.debug:
    msg: "{{ lookup('navarch.cluster.object', 'web', kind='Service').spec.clusterIP }}"

- name: Show the names of all namespaces
  ansible.builtin.debug:
    msg: "{{ query('navarch.cluster.object', kind='Namespace') | map(attribute='metadata.name') }}"
"""

RETURN = r"""
_raw:
  description: The objects, in the order of their names in the task, or by namespace and name.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.navarch.cluster.plugins.module_utils._api.discovery import kind_of
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError, OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import auth_spec, hold_names
from ansible_collections.navarch.cluster.plugins.module_utils._resources.info import find
from ansible_collections.navarch.cluster.plugins.plugin_utils.in_process import connect, plain
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import hold_options


class LookupModule(LookupBase):
    """The objects of one kind."""

    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[dict[str, t.Any]]:
        try:
            hold_options(self, kwargs)
            self.set_options(var_options=variables, direct=kwargs)
            names = ("name", "kind", "api_version", "namespace", "label_selectors", "field_selectors")
            options = plain({name: self.get_option(name) for name in (*names, *auth_spec())})
            asked = [str(term) for term in terms]
            return self._found(asked + [options["name"]] * (options["name"] is not None), options)
        except ClusterError as problem:
            raise AnsibleLookupError("navarch.cluster.object: %s" % problem) from None

    @staticmethod
    def _found(names: list[str], options: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        hold_names(options)
        if not all(name.strip() for name in names):
            raise OptionError("_terms", "a name must not be empty")
        client = connect(options, False)
        kind = kind_of(client, options["kind"], options["api_version"])
        if not names:
            return find(client, kind, options["namespace"], options)
        namespace = (options["namespace"] or "default") if kind.namespaced else None
        objects = []
        for name in names:
            found = client.get(kind, namespace, name)
            if found is None:
                where = " in namespace %s" % namespace if namespace else ""
                raise OptionError("_terms", "there is no %s %s%s" % (kind.kind, name, where))
            objects.append(found)
        return objects
