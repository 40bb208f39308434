# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the sources of the inventory ``nodes``: ``spec()`` of each ``plugin_utils/source_*``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  sources:
    description:
      - Where machines are looked for. All sources are asked at the same time.
      - By default the nodes of the cluster that the other options of the file tell of.
    type: list
    elements: dict
    suboptions:
      type:
        description:
          - V(gce) is Google Compute Engine.
          - V(libcloud) is any other cloud that apache-libcloud knows.
          - V(static) is a list in this file.
          - V(cluster) is the nodes of a cluster. Its options may also stand at the top of the file.
        type: str
        choices: [cluster, gce, libcloud, static]
        required: true
      name:
        description: How failures and the variable C(sources) call it. By default its type.
        type: str
      on_error:
        description:
          - What happens when the source cannot be read, or only in part.
          - V(fail) ends the inventory, V(warn) goes on with what there is and warns.
        type: str
        choices: [fail, warn]
        default: fail
      hostvars_prefix:
        description: As O(hostvars_prefix), for this source alone.
        type: str
      auth_kind:
        description:
          - For V(gce), by what we are known. By default V(accesstoken) or V(serviceaccount) where one is
            given,
            else V(application).
          - V(application) is what C(gcloud auth application-default login),
            E(GOOGLE_APPLICATION_CREDENTIALS) or the
            machine itself provides. V(machineaccount) is the account of the machine, from its metadata
            server.
          - Environment variable E(GCP_AUTH_KIND) is used when this is not set.
        type: str
        choices: [application, machineaccount, serviceaccount, accesstoken]
      service_account_file:
        description:
          - For V(gce), path of the JSON key of a service account.
          - Environment variable E(GCP_SERVICE_ACCOUNT_FILE) is used when this is not set.
        type: path
      service_account_contents:
        description:
          - For V(gce), the JSON key of a service account itself, as text or as a mapping.
          - Environment variable E(GCP_SERVICE_ACCOUNT_CONTENTS) is used when this is not set.
        type: raw
      service_account_email:
        description:
          - For V(gce) with V(machineaccount), which account of the machine. By default its only one.
          - Environment variable E(GCP_SERVICE_ACCOUNT_EMAIL) is used when this is not set.
        type: str
      access_token:
        description:
          - For V(gce), an OAuth access token. Who gives it renews it.
          - Environment variable E(GCP_ACCESS_TOKEN) is used when this is not set.
        type: str
      scopes:
        description: For V(gce), what the token is good for.
        type: list
        elements: str
        default: [https://www.googleapis.com/auth/cloud-platform]
      api_url:
        description: For V(gce), address of the Compute Engine API.
        type: str
        default: https://compute.googleapis.com/compute/v1
      resource_manager_url:
        description: For V(gce) with folders, address of the Resource Manager API.
        type: str
        default: https://cloudresourcemanager.googleapis.com
      projects:
        description:
          - For V(gce), the projects.
          - Without any, and without O(sources[].folders), the one that environment variable E(GCP_PROJECT)
            names, else the one of the credentials.
        type: list
        elements: str
        default: []
      folders:
        description: For V(gce), numbers of folders of which all projects are looked at, also those in
          folders within.
        type: list
        elements: str
        default: []
      zones:
        description: For V(gce), only these zones.
        type: list
        elements: str
        default: []
      filters:
        description:
          - For V(gce), filter expressions that the API evaluates, such as C(labels.env = prod) or C(status =
            RUNNING).
            All must hold.
        type: list
        elements: str
        default: []
      provider:
        description: For V(libcloud), which cloud, as libcloud calls it, such as V(ec2), V(openstack) or
          V(vultr).
        type: str
      key:
        description: For V(libcloud), the first credential of the cloud, such as an access key id, a user or
          a token.
        type: str
      secret:
        description: For V(libcloud), the second credential, where the cloud has two.
        type: str
      region:
        description: For V(libcloud), the region, for clouds that have them.
        type: str
      secure:
        description: For V(libcloud), whether TLS is used, where it is not always.
        type: bool
      host:
        description: For V(libcloud), name or address of the API, other than the cloud's own. For V(cluster),
          its address.
        type: str
      port:
        description: For V(libcloud), port of the API.
        type: int
      url:
        description: For V(libcloud), O(sources[].secure), O(sources[].host) and O(sources[].port) in one.
        type: str
      arguments:
        description:
          - For V(libcloud), any other argument of the driver's constructor, such as C(ex_force_auth_url) of
            V(openstack) or C(tenant_id) of V(azure_arm).
        type: dict
        default: {}
      list_arguments:
        description: For V(libcloud), arguments of the driver's C(list_nodes), such as C(ex_filters) of
          V(ec2).
        type: dict
        default: {}
      hosts:
        description:
          - For V(static), the machines. Each is an address, or a mapping with C(name), C(address),
            C(instance_id) and
            C(variables).
        type: list
        elements: raw
      label_selectors:
        description: For V(cluster), only nodes whose labels match all of these.
        type: list
        elements: str
        default: []
      pods:
        description: For V(cluster), whether to look which pods run on each node.
        type: bool
        default: true
      kubeconfig:
        description: For V(cluster), as O(kubeconfig).
        type: raw
      context:
        description: For V(cluster), as O(context).
        type: str
      api_key:
        description: For V(cluster), as O(api_key).
        type: str
      ca_cert:
        description: For V(cluster), as O(ca_cert).
        type: str
        aliases: [ssl_ca_cert]
      client_cert:
        description: For V(cluster), as O(client_cert).
        type: str
        aliases: [cert_file]
      client_key:
        description: For V(cluster), as O(client_key).
        type: str
        aliases: [key_file]
      validate_certs:
        description: For V(cluster), as O(validate_certs).
        type: bool
        aliases: [verify_ssl]
      proxy:
        description: For V(cluster), as O(proxy).
        type: str
"""
