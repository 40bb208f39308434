# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter navarch.cluster.merge_manifests. How objects merge is ``_resources.strategic_merge``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_manifests
short_description: Manifests with changes laid over them
version_added: 0.1.0
author:
  - Navarch developers (@navarch)
description:
  - Lays manifests over others, by the rules of a strategic merge patch. Mappings are merged key by key. Lists
    whose members have a name, such as containers, variables and ports, are merged member by member. Other
    lists are replaced. V(null) takes a key away. C($patch) V(delete) takes a member or an object away, and
    empties a mapping; V(replace) does not merge. Other directives are refused.
  - Objects are the same when API group, kind, namespace and name are. What the input does not have is added.
  - For what one set of manifests and several surroundings need.
options:
  _input:
    description: Objects. One, a list of them, or YAML text.
    type: raw
    required: true
  _overlays:
    description: The same, laid over the input one after the other. Given by position.
    type: raw
"""

EXAMPLES = r"""
- name: The web servers of production have more pods
  navarch.cluster.manifest:
    definition: "{{ web | navarch.cluster.merge_manifests(production) }}"
  vars:
    web:
      apiVersion: v1
      kind: ReplicationController
      metadata:
        name: web
      spec:
        replicas: 1
        selector:
          app: web
        template:
          metadata:
            labels:
              app: web
          spec:
            containers:
              - name: web
                image: busybox:1.36
    production:
      apiVersion: v1
      kind: ReplicationController
      metadata:
        name: web
      spec:
        replicas: 3
        template:
          spec:
            containers:
              - name: web
                env:
                  - name: LEVEL
                    value: warning
"""

RETURN = r"""
_value:
  description: The objects, in the order of the input.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError
from ansible_collections.navarch.cluster.plugins.module_utils._resources.manifest_loading import (
    from_definition,
)
from ansible_collections.navarch.cluster.plugins.module_utils._resources.strategic_merge import merge_objects
from ansible_collections.navarch.cluster.plugins.plugin_utils.known_options import refusing_unknown


@refusing_unknown("merge_manifests")
def merge_manifests(value: t.Any, *overlays: t.Any) -> list[dict[str, t.Any]]:
    try:
        return merge_objects([from_definition(part) for part in (value, *overlays)])
    except ClusterError as problem:
        raise AnsibleFilterError("navarch.cluster.merge_manifests: %s" % problem) from None


class FilterModule:
    """What Ansible asks a file of filters for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"merge_manifests": merge_manifests}
