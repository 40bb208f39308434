# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch master`: the control plane as a service, configured by one file."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

import msgspec

from navarch import pki
from navarch.apiserver.limits import Limits
from navarch.cli import Failure
from navarch.cli.config import ConfigError, duration, load, size
from navarch.cli.pki import FORMER
from navarch.cli.renewal import Leaf, Renewal
from navarch.cli.serving import listen, load_http, logging_to_stderr, serve
from navarch.network.address import default_address, overlapping
from navarch.store import factory

T = TypeVar("T")

PKI = "/etc/navarch/pki/"

#: Bounds of serviceAccountMaxTokenExpiration in seconds: the reference's.
SHORTEST_TOKEN, LONGEST_TOKEN = 3600.0, float(1 << 32)


class MasterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The keys of master.yaml. Empty: not used."""

    data_dir: str = "/var/lib/navarch/master"
    #: URL of the store; empty: a SQLite file in dataDir.
    store: str = ""
    bind_address: str = "0.0.0.0"
    port: int = 6443
    advertise_address: str = ""
    tls_cert_file: str = PKI + "apiserver.crt"
    tls_key_file: str = PKI + "apiserver.key"
    client_ca_file: str = msgspec.field(name="clientCAFile", default=PKI + "ca.crt")
    client_ca_key_file: str = msgspec.field(name="clientCAKeyFile", default=PKI + "ca.key")
    #: The CA of kubelets' serving certificates. "": the files beside clientCAFile, and admin.conf above them.
    kubelet_ca_file: str = msgspec.field(name="kubeletCAFile", default="")
    kubelet_ca_key_file: str = msgspec.field(name="kubeletCAKeyFile", default="")
    admin_kubeconfig_file: str = ""
    kubelet_client_cert_file: str = PKI + "kubelet-client.crt"
    kubelet_client_key_file: str = PKI + "kubelet-client.key"
    service_account_key_file: str = PKI + "sa.key"
    token_file: str = ""
    cluster_cidr: str = msgspec.field(name="clusterCIDR", default="10.244.0.0/16")
    node_cidr_mask_size: int = msgspec.field(name="nodeCIDRMaskSize", default=24)
    service_cidr: str = msgspec.field(name="serviceCIDR", default="10.96.0.0/16")
    cluster_domain: str = "cluster.local"
    #: The node on this machine, if there is one. "": it is called like the machine.
    node_name: str = ""
    node_monitor_grace_period: str = "40s"
    default_toleration_seconds: int = 300
    #: Bytes of replaced and deleted objects that are kept for watches to resume.
    watch_history: str = "64Mi"
    pod_networks: list[str] = msgspec.field(default_factory=list)
    service_account_max_token_expiration: str = "24h"
    #: Bytes of a request body in YAML.
    max_yaml_body: str = msgspec.field(name="maxYAMLBody", default="256Ki")
    #: What one client may take of the API server (`apiserver.limits`).
    limits: Limits = Limits()
    log_level: str = "info"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration file (YAML)")
    parser.add_argument(
        "--check", action="store_true", help="read the configuration, say what is wrong, and end"
    )


def run(options: argparse.Namespace) -> int:
    try:
        config = load(options.config, MasterConfig)
        check(config)
    except ConfigError as error:
        raise Failure(str(error), 2) from None
    except ValueError as error:
        raise Failure(f"{options.config}: {error}", 2) from None
    if options.check:
        return 0
    logging_to_stderr(config.log_level)
    sock = listen(config.bind_address, config.port)
    try:
        return _run(options.config, config, sock)
    finally:
        sock.close()


def check(config: MasterConfig) -> None:
    """Raises ValueError whose message begins with the key."""
    for key, address in (
        ("bindAddress", config.bind_address),
        ("advertiseAddress", config.advertise_address),
    ):
        if address:
            _checked(key, address, ipaddress.ip_address)
    if ":" in config.advertise_address:
        raise ValueError(
            f"advertiseAddress: {config.advertise_address} is IPv6, and services are IPv4: give an IPv4 one"
        )
    if not 1 <= config.port <= 65535:
        raise ValueError(f"port: {config.port} is not between 1 and 65535")
    cluster = _checked("clusterCIDR", config.cluster_cidr, ipaddress.ip_network)
    service = _checked("serviceCIDR", config.service_cidr, ipaddress.ip_network)
    if cluster.version == service.version and cluster.overlaps(service):
        raise ValueError(f"serviceCIDR: {service} overlaps clusterCIDR {cluster}: choose another range")
    if not cluster.prefixlen <= config.node_cidr_mask_size <= cluster.max_prefixlen - 2:
        raise ValueError(
            f"nodeCIDRMaskSize: {config.node_cidr_mask_size} does not fit into clusterCIDR {cluster}:"
            f" choose from {cluster.prefixlen} (one node) to {cluster.max_prefixlen - 2}"
        )
    if line := overlapping(
        default_address(), clusterCIDR=config.cluster_cidr, serviceCIDR=config.service_cidr
    ):
        raise ValueError(line)
    if config.store:
        _checked("store", config.store, factory.make)
    _checked("nodeMonitorGracePeriod", config.node_monitor_grace_period, duration)
    if config.default_toleration_seconds < 0:
        raise ValueError("defaultTolerationSeconds: must not be negative")
    _checked("watchHistory", config.watch_history, size)
    for network in config.pod_networks:
        _checked("podNetworks", network, ipaddress.ip_network)
    longest = _checked(
        "serviceAccountMaxTokenExpiration", config.service_account_max_token_expiration, duration
    )
    if not SHORTEST_TOKEN <= longest <= LONGEST_TOKEN:
        raise ValueError(
            f"serviceAccountMaxTokenExpiration: {config.service_account_max_token_expiration} is not between"
            " 1h and 2^32 seconds"
        )
    _checked("maxYAMLBody", config.max_yaml_body, size)
    try:
        config.limits.check()
    except ValueError as error:
        raise ValueError(f"limits: {error}") from None
    if config.log_level not in ("debug", "info", "warning", "error"):
        raise ValueError(f"logLevel: {config.log_level!r} is not one of debug, info, warning, error")


def _checked(key: str, value: str, read: Callable[[str], T]) -> T:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _run(path: str, config: MasterConfig, sock: socket.socket) -> int:
    load_http()
    from navarch.apiserver.kubelettls import client_tls
    from navarch.apiserver.server import server_tls
    from navarch.auth.authn import token_file
    from navarch.cli.controlplane import Settings

    files = Files(config)
    ca = kubelet_ca = None
    if config.client_ca_key_file:
        ca = pki.Pair(
            _read(path, "clientCAFile", config.client_ca_file),
            _read(path, "clientCAKeyFile", config.client_ca_key_file),
        )
        kubelet_ca = pki.Pair(
            _read(path, "kubeletCAFile", files.kubelet_ca),
            _read(path, "kubeletCAKeyFile", files.kubelet_ca_key),
        )
    for key, name in (
        ("tlsCertFile", config.tls_cert_file),
        ("tlsKeyFile", config.tls_key_file),
        ("clientCAFile", config.client_ca_file),
    ):
        _read(path, key, name)
    renewal = files.renewal()
    renewal.settle()
    tokens = {}
    if config.token_file:
        text = _read(path, "tokenFile", config.token_file).decode(errors="replace")
        try:
            tokens = token_file.parse(text, config.token_file)
        except ValueError as error:
            raise Failure(f"{path}: tokenFile: {error}", 2) from None
    kubelet_tls = None
    try:
        tls = server_tls(config.tls_cert_file, config.tls_key_file, config.client_ca_file)
    except ssl.SSLError as error:
        raise Failure(f"{path}: tlsCertFile, tlsKeyFile, clientCAFile: cannot be used: {error}", 2) from None
    renewal.follow(tls, files.serving)
    if config.kubelet_client_cert_file:
        _read(path, "kubeletCAFile", files.kubelet_ca)
        _read(path, "kubeletClientCertFile", config.kubelet_client_cert_file)
        _read(path, "kubeletClientKeyFile", config.kubelet_client_key_file)
        try:
            kubelet_tls = client_tls(
                config.kubelet_client_cert_file, config.kubelet_client_key_file, *files.kubelet_authorities()
            )
        except ssl.SSLError as error:
            keys = "kubeletClientCertFile, kubeletClientKeyFile, kubeletCAFile"
            raise Failure(f"{path}: {keys}: cannot be used: {error}", 2) from None
        renewal.follow(kubelet_tls, files.kubelet_client, files.kubelet_authorities())
    account_key = None
    if config.service_account_key_file:
        from navarch.auth.tokens import Signer

        account_key = _read(path, "serviceAccountKeyFile", config.service_account_key_file)
        try:
            Signer(account_key)
        except ValueError as error:
            name = config.service_account_key_file
            raise Failure(f"{path}: serviceAccountKeyFile: {name}: {error}", 2) from None
    try:
        os.makedirs(config.data_dir, mode=0o700, exist_ok=True)
    except OSError as error:
        raise Failure(f"{path}: dataDir: cannot make {config.data_dir}: {error.strerror}", 2) from None
    serving = pki.inspect(_read(path, "tlsCertFile", config.tls_cert_file))
    settings = Settings(
        store=_store(config),
        data_dir=os.path.abspath(config.data_dir),
        tls=tls,
        kubelet_tls=kubelet_tls,
        tokens=tokens,
        ca=ca,
        kubelet_ca=kubelet_ca,
        renewal=renewal,
        cluster_domain=config.cluster_domain,
        master_names=[*serving.names, _advertised(config)],
        own_node=config.node_name or socket.gethostname().lower(),
        cluster_cidr=config.cluster_cidr,
        node_cidr_mask_size=config.node_cidr_mask_size,
        service_cidr=config.service_cidr,
        node_monitor_grace=duration(config.node_monitor_grace_period),
        toleration_seconds=config.default_toleration_seconds,
        pod_networks=config.pod_networks,
        token_seconds=duration(config.service_account_max_token_expiration),
        yaml_limit=size(config.max_yaml_body),
        service_account_key=account_key,
        root_ca=_read(path, "clientCAFile", config.client_ca_file),
        advertise_address=_advertised(config),
        limits=config.limits,
        watch_history=size(config.watch_history),
    )
    return serve(settings, sock, lambda: None)


def _store(config: MasterConfig) -> str:
    return config.store or f"sqlite:{os.path.join(os.path.abspath(config.data_dir), 'store.db')}"


class Files:
    """Where a master's certificates are."""

    def __init__(self, config: MasterConfig) -> None:
        self._config = config
        self._folder = os.path.dirname(os.path.abspath(config.client_ca_file))
        self.kubelet_ca = config.kubelet_ca_file or os.path.join(self._folder, "kubelet-ca.crt")
        self.kubelet_ca_key = config.kubelet_ca_key_file or os.path.join(self._folder, "kubelet-ca.key")
        self.serving = Leaf("apiserver", config.tls_cert_file, config.tls_key_file)
        self.kubelet_client = Leaf(
            "kubelet-client", config.kubelet_client_cert_file, config.kubelet_client_key_file
        )

    def kubelet_authorities(self) -> list[str]:
        """That of kubelets' certificates, and the one before it while there are some of that."""
        former = os.path.join(os.path.dirname(self.kubelet_ca), FORMER)
        return [self.kubelet_ca, *([former] if os.path.exists(former) else [])]

    def renewal(self) -> Renewal:
        leaves = [self.serving]
        if self._config.kubelet_client_cert_file:
            leaves.append(self.kubelet_client)
        admin = Leaf("admin", *(os.path.join(self._folder, f"admin.{end}") for end in ("crt", "key")))
        if os.path.exists(admin.certificate) and os.path.exists(admin.key):
            leaves.append(admin)
        return Renewal(
            ca=(self._config.client_ca_file, self._config.client_ca_key_file),
            leaves=leaves,
            authorities=[self.kubelet_ca],
            admin_conf=self._config.admin_kubeconfig_file
            or os.path.join(os.path.dirname(self._folder), "admin.conf"),
        )


def _advertised(config: MasterConfig) -> str:
    if config.advertise_address:
        return config.advertise_address
    return default_address() if config.bind_address in ("0.0.0.0", "::") else config.bind_address


def _read(path: str, key: str, name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise Failure(f"{path}: {key}: cannot read {name}: {error.strerror}", 2) from None
