# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options that describe a pod (``_pods.spec.SPEC``), once for all modules.

``DOCUMENTATION`` is for module ``pod``, where they are options; ``TEMPLATE`` for modules where they are below
``template``, and ``PLACED_TEMPLATE`` for the one that documents affinity. What several options have in common
is documented at one of them, to which the others refer ("Its options are those of").
"""

from __future__ import annotations

import re
import typing as t
from textwrap import indent

_KEY_OF = r"""
name:
  description: Name of the object.
  type: str
  required: true
key:
  description: The key in it.
  type: str
  required: true
optional:
  description: Whether the container starts without the variable when there is no such object or key.
  type: bool
"""

_FILES = r"""
name:
  description: Name of the object.
  type: str
  required: true
default_mode:
  description: Permissions of the files, such as V('0644'). Text is octal. A number is the permissions
    themselves, so that V(0644) without quotes, which YAML reads as 420, is the same.
  type: raw
optional:
  description: Whether the pod starts when there is no such object.
  type: bool
items:
  description:
    - Only these keys, each in a file of its own. By default every key, in a file of its name.
    - Or a mapping of keys to files.
  type: list
  elements: dict
  suboptions:
    key:
      description: The key.
      type: str
      required: true
    path:
      description: The file, relative to the volume.
      type: str
      required: true
    mode:
      description: Permissions of this file, written as those of all.
      type: raw
"""

_CONTAINER = r"""
name:
  description: Name of the container, unlike that of any other in the pod.
  type: str
  required: true
image:
  description: The image to run.
  type: str
  required: true
image_pull_policy:
  description:
    - Whether to get the image from its registry each time, only where it is not on the node, or never.
    - By default V(Always) for images tagged C(latest) or not at all, and V(IfNotPresent) for all others.
  type: str
  choices: [Always, IfNotPresent, Never]
command:
  description: What to run instead of the image's entrypoint. Not run through a shell.
  type: list
  elements: str
args:
  description: Arguments instead of the image's own.
  type: list
  elements: str
working_dir:
  description: The directory to run in.
  type: str
env:
  description:
    - Environment variables.
    - 'Or a mapping of names to values, such as V({LEVEL: debug}), in which a mapping stands for the other
      options of a variable.'
  type: list
  elements: dict
  suboptions:
    name:
      description: Name of the variable.
      type: str
      required: true
    value:
      description: Its value. Seen by everybody who may read the pod - use
        O(${at}env[].value_from.secret_key) for secrets.
      type: str
    value_from:
      description: Where its value comes from.
      type: dict
      suboptions:
        config_map_key:
          description: A key of a ConfigMap.
          type: dict
          suboptions:${key_of}
        secret_key:
          description: A key of a Secret.
          type: dict
          suboptions:${key_of}
        field:
          description: A field of the pod itself, such as V(status.podIP) or V(metadata.name).
          type: str
ports:
  description:
    - Ports that the container listens on.
    - 'Or a mapping of names to ports, such as V({http: 8080}).'
  type: list
  elements: dict
  suboptions:
    container_port:
      description: The port in the pod.
      type: int
      required: true
    host_port:
      description: A port of the node that leads to it.
      type: int
    host_ip:
      description: The address of the node to take O(${at}ports[].host_port) on.
      type: str
    name:
      description: A name for the port, to refer to it by.
      type: str
    protocol:
      description: The protocol. By default V(TCP).
      type: str
      choices: [TCP, UDP, SCTP]
resources:
  description: What the container needs and may use.
  type: dict
  suboptions:
    limits:
      description: At most so much of each resource, such as C(cpu) and C(memory).
      type: dict
    requests:
      description: So much of each resource is set aside on the node. By default what
        O(${at}resources.limits) says.
      type: dict
volume_mounts:
  description:
    - Where volumes of the pod appear in the container.
    - 'Or a mapping of volumes to paths, such as V({pages: /www}).'
  type: list
  elements: dict
  suboptions:
    name:
      description: Name of the volume.
      type: str
      required: true
    mount_path:
      description: The path in the container.
      type: str
      required: true
    sub_path:
      description: Only this path of the volume.
      type: str
    read_only:
      description: Whether the container may only read it.
      type: bool
"""

_PROBE = r"""
http_get:
  description: An HTTP request that must be answered with a status from 200 to 399.
  type: dict
  suboptions:
    path:
      description: Path of the request.
      type: str
    port:
      description: Number or name of the port.
      type: str
      required: true
    host:
      description: Where to send it. By default to the pod's address.
      type: str
    scheme:
      description: The scheme. By default V(HTTP).
      type: str
      choices: [HTTP, HTTPS]
tcp_socket:
  description: A connection that must come about.
  type: dict
  suboptions:
    port:
      description: Number or name of the port.
      type: str
      required: true
    host:
      description: Where to connect to. By default the pod's address.
      type: str
exec:
  description: A command in the container that must end with exit code 0.
  type: dict
  suboptions:
    command:
      description: The command and its arguments.
      type: list
      elements: str
      required: true
initial_delay_seconds:
  description: Seconds after the container's start before the first probe.
  type: int
period_seconds:
  description: Seconds from one probe to the next.
  type: int
timeout_seconds:
  description: Seconds after which a probe without an answer has failed.
  type: int
success_threshold:
  description: So many successes in a row count as healthy again.
  type: int
failure_threshold:
  description: So many failures in a row count as unhealthy.
  type: int
"""

_SPEC = r"""
containers:
  description:
    - The containers of the pod. They share its address.
    - To hold secrets, use O(${at}containers[].env[].value_from.secret_key) or O(${at}volumes[].secret).
  type: list
  elements: dict
  suboptions:${container}
    liveness_probe:
      description: The container is started again when this fails.
      type: dict
      suboptions:${probe}
    readiness_probe:
      description:
        - The container gets no traffic while this fails.
        - Its options are those of O(${at}containers[].liveness_probe).
      type: dict
    startup_probe:
      description:
        - The other probes begin when this has succeeded.
        - Its options are those of O(${at}containers[].liveness_probe).
      type: dict
init_containers:
  description:
    - Containers that run one after the other, each to its end, before O(${at}containers) start.
    - Its options are those of O(${at}containers), but for the probes.
  type: list
  elements: dict
volumes:
  description:
    - Volumes that containers can mount. Each is of one sort.
    - 'Or a mapping of names to volumes, such as V({pages: {empty_dir: {}}}).'
  type: list
  elements: dict
  suboptions:
    name:
      description: Name of the volume.
      type: str
      required: true
    empty_dir:
      description: An empty directory that lives as long as the pod.
      type: dict
      suboptions:
        medium:
          description: Where it lies. V(Memory) is a file system in memory.
          type: str
          choices: ['', Memory]
        size_limit:
          description: At most so much, such as V(64Mi).
          type: str
    host_path:
      description: A path of the node.
      type: dict
      suboptions:
        path:
          description: The path.
          type: str
          required: true
        type:
          description: What must be there, or be made.
          type: str
          choices: ['', BlockDevice, CharDevice, Directory, DirectoryOrCreate, File, FileOrCreate, Socket]
    config_map:
      description: The keys of a ConfigMap as files.
      type: dict
      suboptions:${files}
    secret:
      description:
        - The keys of a Secret as files.
        - Its options are those of O(${at}volumes[].config_map).
      type: dict
restart_policy:
  description: When to start containers again that have ended. By default V(Always).
  type: str
  choices: [Always, OnFailure, Never]
node_name:
  description: The node to run on. The scheduler is not asked then.
  type: str
node_selector:
  description: Labels that the node must have.
  type: dict
tolerations:
  description: Taints of nodes that the pod puts up with.
  type: list
  elements: dict
  suboptions:
    key:
      description: Key of the taint. Without it, every taint.
      type: str
    operator:
      description: Whether the taint must have O(${at}tolerations[].value) or just be there. By default
        V(Equal).
      type: str
      choices: [Equal, Exists]
    value:
      description: Value of the taint.
      type: str
    effect:
      description: Effect of the taint. Without it, every effect.
      type: str
      choices: [NoSchedule, PreferNoSchedule, NoExecute]
    toleration_seconds:
      description: With V(NoExecute), so many seconds only.
      type: int
affinity:
  description: Nodes the pod wants, and pods it wants to be near to or far from.
  type: dict
  suboptions:
    node:
      description: Which nodes.
      type: dict
      suboptions:
        required:
          description: The node must meet one of these terms.
          type: list
          elements: dict
          suboptions:${node_term}
        preferred:
          description: The node should meet these.
          type: list
          elements: dict
          suboptions:
            weight:
              description: How much that counts, 1 to 100.
              type: int
              required: true
            term:
              description:
                - What the node should meet.
                - Its options are those of O(${at}affinity.node.required).
              type: dict
              required: true
    pod:
      description: Which pods to be near to.
      type: dict
      suboptions:${other_pods}
    pod_anti:
      description:
        - Which pods to be far from.
        - Its options are those of O(${at}affinity.pod).
      type: dict
topology_spread_constraints:
  description:
    - How evenly pods are to be spread over places, such as zones.
    - Pods of a controller that have none are spread over nodes and zones as well as can be.
  type: list
  elements: dict
  suboptions:
    max_skew:
      description: By how many pods places may differ.
      type: int
      required: true
    topology_key:
      description: Label of nodes whose value says what one place is.
      type: str
      required: true
    when_unsatisfiable:
      description: Whether the pod waits where it cannot be, or goes to the best place there is.
      type: str
      required: true
      choices: [DoNotSchedule, ScheduleAnyway]
    label_selector:
      description: Which pods count.
      type: dict
      suboptions:${label_selector}
    min_domains:
      description: While there are fewer places than this, the emptiest one counts as empty.
      type: int
    node_affinity_policy:
      description: Whether the pod's node affinity says which nodes count. By default V(Honor), and it does.
      type: str
      choices: [Honor, Ignore]
    node_taints_policy:
      description: Whether taints say which nodes count. By default V(Ignore), and they do not.
      type: str
      choices: [Honor, Ignore]
    match_label_keys:
      description: Labels in whose values a pod must be like this one to count.
      type: list
      elements: str
termination_grace_period:
  description: Seconds that the containers get to end by themselves. By default 30.
  type: int
host_network:
  description: Whether the pod uses the node's network instead of one of its own.
  type: bool
hostname:
  description: The hostname in the pod. By default its name.
  type: str
dns_policy:
  description: Where the pod's name lookups go. By default V(ClusterFirst).
  type: str
  choices: [ClusterFirst, ClusterFirstWithHostNet, Default, None]
service_account_name:
  description: The service account whose identity the pod has. By default V(default).
  type: str
priority_class_name:
  description: The class that says how important the pod is.
  type: str
scheduler_name:
  description: The scheduler that finds a node for the pod. By default V(default-scheduler).
  type: str
"""

_EXPRESSIONS = r"""
key:
  description: Key of the label.
  type: str
  required: true
operator:
  description: How its value is to relate to the values given.
  type: str
  required: true
  choices: [In, NotIn, Exists, DoesNotExist${more}]
values:
  description: The values. None for V(Exists) and V(DoesNotExist).
  type: list
  elements: str
"""

_LABEL_SELECTOR = r"""
match_labels:
  description: Labels that must be equal.
  type: dict
match_expressions:
  description: Requirements that must all hold.
  type: list
  elements: dict
  suboptions:${expressions}
"""

_NODE_TERM = r"""
match_expressions:
  description: Requirements on the node's labels that must all hold.
  type: list
  elements: dict
  suboptions:${expressions}
match_fields:
  description:
    - Requirements on the node's fields, of which C(metadata.name) is one.
    - Its options are those of O(${at}affinity.node.required[].match_expressions).
  type: list
  elements: dict
"""

_POD_TERM = r"""
topology_key:
  description: Label of nodes whose value says what one place is.
  type: str
  required: true
label_selector:
  description: Which pods are meant. Without it, none.
  type: dict
  suboptions:${label_selector}
namespaces:
  description: Where to look for them. By default in the pod's own namespace.
  type: list
  elements: str
namespace_selector:
  description:
    - Where to look for them besides, by labels of namespaces. Empty means everywhere.
    - Its options are those of O(${at}affinity.pod.required[].label_selector).
  type: dict
match_label_keys:
  description: Labels in whose values a pod must be like this one to be meant.
  type: list
  elements: str
mismatch_label_keys:
  description: Labels in whose values a pod must differ from this one to be meant.
  type: list
  elements: str
"""

_OTHER_PODS = r"""
required:
  description: All of these must hold.
  type: list
  elements: dict
  suboptions:${pod_term}
preferred:
  description: These should hold.
  type: list
  elements: dict
  suboptions:
    weight:
      description: How much that counts, 1 to 100.
      type: int
      required: true
    term:
      description:
        - What should hold.
        - Its options are those of O(${at}affinity.pod.required).
      type: dict
      required: true
"""

_TEMPLATE = r"""
options:
  template:
    description: The pods, described as in M(navarch.cluster.pod).
    type: dict
    suboptions:
      labels:
        description: Labels of the pods.
        type: dict
      annotations:
        description: Annotations of the pods.
        type: dict
"""


def _fill(text: str, at: str, depth: int, **parts: str) -> str:
    """``text`` with its parts put in, below the lines that ask for them, all indented by ``depth``."""
    lines = []
    for line in text.strip().splitlines():
        head, asked, name = line.partition("${")
        if asked and name.endswith("}") and not name.startswith("at}"):
            lines.append(head)
            margin = " " * (len(head) - len(head.lstrip()) + 2)
            lines.append(indent(parts[name[:-1]].strip(), margin))
        else:
            lines.append(line)
    return indent("\n".join(lines).replace("${at}", at), " " * depth)


_POD = "navarch.cluster.pod#module:"
_SCHEDULE = "navarch.cluster.schedule#module:template."


def _options(at: str, depth: int, short: t.Mapping[str, str]) -> str:
    """All options. Those in ``short`` are documented elsewhere, by what goes before their name there."""
    container = _fill(_CONTAINER, at + "containers[].", 0, key_of=_KEY_OF)
    label_selector = _fill(_LABEL_SELECTOR, at, 0, expressions=_EXPRESSIONS.replace("${more}", ""))
    pod_term = _fill(_POD_TERM, at, 0, label_selector=label_selector)
    return _fill(
        "\n".join(_shortened(one, short) for one in re.split(r"\n(?=\w)", _SPEC.strip())),
        at,
        depth,
        container=container,
        probe=_PROBE,
        files=_FILES,
        label_selector=label_selector,
        node_term=_fill(_NODE_TERM, at, 0, expressions=_EXPRESSIONS.replace("${more}", ", Gt, Lt")),
        other_pods=_fill(_OTHER_PODS, at, 0, pod_term=pod_term),
    )


def _shortened(option: str, short: t.Mapping[str, str]) -> str:
    """The text of one option, or of one documented elsewhere with a reference to that."""
    name = option.partition(":")[0]
    if name not in short:
        return option
    head = option.partition("\n  suboptions:")[0]
    text, kind, rest = head.partition("\n  type:")
    first = "%s:\n  description: " % name
    if text.startswith(first):
        text = "%s:\n  description:\n    - %s" % (name, text[len(first) :].replace("\n    ", "\n      "))
    refers = re.sub(r"\n    - (Its options are|[^\n]*\[\]\.)[^\n]*", "", text)  # to what is not here
    return "%s\n    - Its options are those of O(%s%s).%s%s" % (refers, short[name], name, kind, rest)


_LONG = ("containers", "init_containers", "volumes", "tolerations", "topology_spread_constraints")


class ModuleDocFragment:
    # annotated, because they are computed: linters take a bare assignment for the text itself
    DOCUMENTATION: str = "options:\n" + _options("", 2, {"affinity": _SCHEDULE}) + "\n"
    TEMPLATE: str = (
        _TEMPLATE.rstrip()
        + "\n"
        + _options("template.", 6, dict(dict.fromkeys(_LONG, _POD), affinity=_SCHEDULE))
        + "\n"
    )
    PLACED_TEMPLATE: str = (
        _TEMPLATE.rstrip() + "\n" + _options("template.", 6, dict.fromkeys(_LONG, _POD)) + "\n"
    )
