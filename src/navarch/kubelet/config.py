# SPDX-License-Identifier: GPL-3.0-or-later
"""The kubelet's settings.

The keys of kubelet.yaml, their defaults, and reading the file. What they mean to others is not known here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from navarch.api.machinery import names, quantity
from navarch.network import overlay
from navarch.network.address import default_address, overlapping
from navarch.network.overlay.vxlan import VxlanSettings


class ConfigError(Exception):
    """One line that names the key and what is wrong."""


class TaintConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    effect: str
    value: str = ""


def _field(name: str, default: Any) -> Any:
    return msgspec.field(name=name, default=default)


def _factory(name: str, factory: Any) -> Any:
    return msgspec.field(name=name, default_factory=factory)


class KubeletConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node_name: str = _field("nodeName", "")
    #: Empty: the address of the default route, which may change, else 127.0.0.1.
    node_ip: str = _field("nodeIP", "")
    data_dir: str = _field("dataDir", "/var/lib/navarch/kubelet")
    kubeconfig: str = "/etc/navarch/kubelet.conf"
    bootstrap_kubeconfig: str = _field("bootstrapKubeconfig", "/etc/navarch/bootstrap-kubelet.conf")
    cert_dir: str = _field("certDir", "")
    client_ca_file: str = _field("clientCAFile", "/etc/navarch/pki/ca.crt")
    port: int = 10250
    bind_address: str = _field("bindAddress", "0.0.0.0")
    docker_socket: str = _field("dockerSocket", "/var/run/docker.sock")
    cni_bin_dirs: list[str] = _factory("cniBinDirs", lambda: ["/opt/cni/bin", "/usr/lib/cni"])
    cni_conf_dir: str = _field("cniConfDir", "/etc/cni/net.d")
    cluster_cidr: str = _field("clusterCIDR", "10.244.0.0/16")
    #: Addresses of services, as the master has it.
    service_cidr: str = _field("serviceCIDR", "10.96.0.0/16")
    #: Whether services' addresses lead to their endpoints on this node by our own rules.
    proxy: bool = True
    bridge: str = "navarch0"
    #: Besides the cluster's own, ranges that pods reach with their own address.
    non_masquerade_cidrs: list[str] = _factory("nonMasqueradeCIDRs", list)
    overlay: str = "vxlan"
    vxlan: VxlanSettings = VxlanSettings()
    node_labels: dict[str, str] = _factory("nodeLabels", dict)
    taints: list[TaintConfig] = _factory("taints", list)
    max_pods: int = _field("maxPods", 110)
    system_reserved: dict[str, str] = _factory("systemReserved", dict)
    kube_reserved: dict[str, str] = _factory("kubeReserved", dict)
    cluster_domain: str = _field("clusterDomain", "cluster.local")
    #: Address of the node's DNS, on the loopback device; empty: pods get the node's resolver.
    cluster_dns: str = _field("clusterDNS", "169.254.20.10")
    log_level: str = _field("logLevel", "info")

    @property
    def owner(self) -> str:
        """Value of the owner label of our containers.

        The node and this kubelet's own folder, so that kubelets can share an engine.
        """
        folder = hashlib.sha256(os.path.realpath(self.data_dir).encode()).hexdigest()[:12]
        return f"{self.node_name}.{folder}"

    @property
    def pki_dir(self) -> Path:
        return Path(self.cert_dir) if self.cert_dir else Path(self.data_dir) / "pki"


def check(config: KubeletConfig) -> KubeletConfig:
    """The settings with what was left empty filled in. Raises ConfigError."""
    name = config.node_name or socket.gethostname().lower()
    wrong = names.subdomain(name)
    if wrong:
        raise ConfigError(f"nodeName: {name!r}: {wrong}")
    if not 0 <= config.port <= 65535:
        raise ConfigError(f"port: {config.port} is not between 0 and 65535")
    if not 1 <= config.max_pods <= 10000:
        raise ConfigError(f"maxPods: {config.max_pods} is not between 1 and 10000")
    if not 1 <= len(config.bridge) <= 15:
        raise ConfigError(f"bridge: {config.bridge!r} must have 1 to 15 characters")
    try:
        ipaddress.ip_network(config.cluster_cidr)
    except ValueError as error:
        raise ConfigError(f"clusterCIDR: {error}") from None
    try:
        services = ipaddress.IPv4Network(config.service_cidr)
    except ValueError as error:
        raise ConfigError(f"serviceCIDR: {error}") from None
    if services.overlaps(ipaddress.ip_network(config.cluster_cidr)):
        raise ConfigError(
            f"serviceCIDR: {services} overlaps clusterCIDR {config.cluster_cidr}: choose another range"
        )
    node_ip = config.node_ip or default_address()
    try:
        ipaddress.ip_address(node_ip)
    except ValueError as error:
        raise ConfigError(f"nodeIP: {error}") from None
    if line := overlay.wrong(config.overlay, config.vxlan, config.cluster_cidr, node_ip) or overlapping(
        node_ip, clusterCIDR=config.cluster_cidr, serviceCIDR=config.service_cidr
    ):
        raise ConfigError(line)
    for cidr in config.non_masquerade_cidrs:
        try:
            ipaddress.IPv4Network(cidr)
        except ValueError as error:
            raise ConfigError(f"nonMasqueradeCIDRs: {error}") from None
    if config.cluster_dns:
        try:
            ipaddress.IPv4Address(config.cluster_dns)
        except ValueError as error:
            raise ConfigError(f"clusterDNS: {error}") from None
    for key, reserve in (("systemReserved", config.system_reserved), ("kubeReserved", config.kube_reserved)):
        for resource, amount in reserve.items():
            try:
                quantity.parse(amount)
            except ValueError as error:
                raise ConfigError(f"{key}.{resource}: {error}") from None
    for key, value in config.node_labels.items():
        if wrong := names.qualified(key) or names.label_value(value):
            raise ConfigError(f"nodeLabels: {key}={value}: {wrong}")
    for taint in config.taints:
        if wrong := names.qualified(taint.key) or names.label_value(taint.value):
            raise ConfigError(f"taints: {taint.key}={taint.value}: {wrong}")
        if taint.effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
            raise ConfigError(
                f"taints: effect {taint.effect!r} is not NoSchedule, PreferNoSchedule or NoExecute"
            )
    if config.log_level not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"logLevel: {config.log_level!r} is not debug, info, warning or error")
    return msgspec.structs.replace(config, node_name=name)


def _said(text: str) -> str:
    """msgspec's words in the words of a settings file: the key first."""
    what, _, where = text.replace("$.", "").replace(" - at `$`", "").partition(" - at `")
    what = what.replace("Object contains unknown field", "unknown key")
    return f"{where.rstrip('`')}: {what}" if where else what


def parse(document: Any) -> KubeletConfig:
    """Settings from a decoded YAML document. Raises ConfigError."""
    try:
        return check(msgspec.convert({} if document is None else document, KubeletConfig, strict=True))
    except msgspec.ValidationError as error:
        raise ConfigError(_said(str(error))) from None


def load(path: str | Path) -> KubeletConfig:
    """Raises ConfigError, also when the file cannot be read."""
    import yaml

    try:
        text = Path(path).read_text()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}".replace("\n", " ")) from None
    try:
        return parse(document)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
