# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options that say which cluster and who we are (``_module.args.auth_spec``)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file, or the content of one as a mapping or as text. A text of several lines, or
        that begins with V({), is content. Content is never shown.
      - Environment variable E(K8S_AUTH_KUBECONFIG) is used when this is not set, then E(KUBECONFIG), then
        C(~/.kube/config) where it exists.
      - Users that get their credentials from a program (C(exec), as managed clusters have it) or an OpenID
        provider (C(auth-provider) named C(oidc)) are supported. A program runs where the module does, once in
        a process, and again when its credentials end or are refused. Tokens of an OpenID provider are
        renewed by the refresh token and written into the kubeconfig where it can be written.
    type: raw
  context:
    description:
      - The context of the kubeconfig to use instead of its current one.
      - Environment variable E(K8S_AUTH_CONTEXT) is used when this is not set.
    type: str
  host:
    description:
      - Address of the cluster, such as C(https://master.example.org:6443). It wins over the kubeconfig.
      - Environment variable E(K8S_AUTH_HOST) is used when this is not set.
    type: str
  api_key:
    description:
      - Bearer token.
      - Environment variable E(K8S_AUTH_API_KEY) is used when this is not set.
    type: str
  ca_cert:
    description:
      - Certificate of the authority that signed the cluster's certificate, as a path or as PEM text.
        Without one, the authorities that the system trusts.
      - Environment variable E(K8S_AUTH_SSL_CA_CERT) is used when this is not set.
    type: str
    aliases: [ssl_ca_cert]
  client_cert:
    description:
      - Client certificate, as a path or as PEM text. Needs O(client_key).
      - Environment variable E(K8S_AUTH_CERT_FILE) is used when this is not set.
    type: str
    aliases: [cert_file]
  client_key:
    description:
      - Private key of O(client_cert), as a path or as PEM text.
      - Environment variable E(K8S_AUTH_KEY_FILE) is used when this is not set.
    type: str
    aliases: [key_file]
  validate_certs:
    description:
      - Whether the cluster must prove who it is. By default it must, unless the kubeconfig says otherwise.
      - Environment variable E(K8S_AUTH_VERIFY_SSL) is used when this is not set.
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - Address of an HTTP proxy to reach the cluster through. By default what E(HTTPS_PROXY) and
        E(NO_PROXY) say, except for the loopback address.
      - Environment variable E(K8S_AUTH_PROXY) is used when this is not set.
    type: str
requirements:
  - requests
  - PyYAML (for kubeconfig files)
"""

    # for plugins, which take the environment from their documentation
    PLUGIN = r"""
options:
  kubeconfig:
    env: [{name: K8S_AUTH_KUBECONFIG}]
  context:
    env: [{name: K8S_AUTH_CONTEXT}]
  host:
    env: [{name: K8S_AUTH_HOST}]
  api_key:
    env: [{name: K8S_AUTH_API_KEY}]
  ca_cert:
    env: [{name: K8S_AUTH_SSL_CA_CERT}]
  client_cert:
    env: [{name: K8S_AUTH_CERT_FILE}]
  client_key:
    env: [{name: K8S_AUTH_KEY_FILE}]
  validate_certs:
    env: [{name: K8S_AUTH_VERIFY_SSL}]
  proxy:
    env: [{name: K8S_AUTH_PROXY}]
"""

    # for connections, which take variables of the host besides
    CONNECTION = r"""
options:
  kubeconfig:
    vars: [{name: ansible_pod_kubeconfig}]
  context:
    vars: [{name: ansible_pod_context}]
  host:
    vars: [{name: ansible_pod_host}]
  api_key:
    vars: [{name: ansible_pod_api_key}]
  ca_cert:
    vars: [{name: ansible_pod_ca_cert}]
  client_cert:
    vars: [{name: ansible_pod_client_cert}]
  client_key:
    vars: [{name: ansible_pod_client_key}]
  validate_certs:
    vars: [{name: ansible_pod_validate_certs}]
  proxy:
    vars: [{name: ansible_pod_proxy}]
"""
