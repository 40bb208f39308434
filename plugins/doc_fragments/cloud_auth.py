# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options that say which cloud and who we are (``_cloud.args``)."""

from __future__ import annotations


class ModuleDocFragment:
    # Google: gce_auth_spec
    DOCUMENTATION = r"""
options:
  auth_kind:
    description:
      - For Google, by what we are known. By default V(accesstoken) or V(serviceaccount) where one is given,
        else
        V(application).
      - V(application) is what C(gcloud auth application-default login), E(GOOGLE_APPLICATION_CREDENTIALS) or
        the machine itself provides. V(machineaccount) is the account of the machine, from its metadata
        server.
      - Environment variable E(GCP_AUTH_KIND) is used when this is not set.
    type: str
    choices: [application, machineaccount, serviceaccount, accesstoken]
  service_account_file:
    description:
      - For Google, path of the JSON key of a service account.
      - Environment variable E(GCP_SERVICE_ACCOUNT_FILE) is used when this is not set.
    type: path
  service_account_contents:
    description:
      - For Google, the JSON key of a service account itself, as text or as a mapping.
      - Environment variable E(GCP_SERVICE_ACCOUNT_CONTENTS) is used when this is not set.
    type: jsonarg
  service_account_email:
    description:
      - For Google with V(machineaccount), which account of the machine. By default its only one.
      - Environment variable E(GCP_SERVICE_ACCOUNT_EMAIL) is used when this is not set.
    type: str
  access_token:
    description:
      - For Google, an OAuth access token. Who gives it renews it.
      - Environment variable E(GCP_ACCESS_TOKEN) is used when this is not set.
    type: str
  scopes:
    description: For Google, what the token is good for.
    type: list
    elements: str
    default: [https://www.googleapis.com/auth/cloud-platform]
  api_url:
    description: Address of Google's Compute Engine API.
    type: str
    default: https://compute.googleapis.com/compute/v1
  project:
    description:
      - For Google, the project. By default the one of the service account.
      - Environment variable E(GCP_PROJECT) is used when this is not set.
    type: str
requirements:
  - requests
  - google-auth (for Google, other than with an access token)
attributes:
  action_group:
    description: Use C(group/navarch.cluster.cloud) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - navarch.cluster.cloud
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation
      indicates no change.
    support: full
"""

    WRITES = r"""
options: {}
attributes:
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when
      in diff mode.
    support: full
"""

    READS = r"""
options: {}
attributes:
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when
      in diff mode.
    support: N/A
    details:
      - This module changes nothing.
"""

    # every other cloud: libcloud_auth_spec
    LIBCLOUD = r"""
options:
  provider:
    description:
      - V(gce) is Google Compute Engine. Any other is a cloud by the name that apache-libcloud has for it,
        such
        as V(ec2), V(openstack), V(azure_arm) or V(vultr).
    type: str
    default: gce
  key:
    description:
      - For clouds other than Google, the first credential, such as an access key id, a user or a token.
    type: str
  secret:
    description: For clouds other than Google, the second credential, where the cloud has two.
    type: str
  region:
    description: For clouds other than Google, the region, where the cloud has them.
    type: str
  secure:
    description: For clouds other than Google, whether TLS is used, where it is not always.
    type: bool
  host:
    description: For clouds other than Google, name or address of the API, other than the cloud's own.
    type: str
  port:
    description: For clouds other than Google, port of the API.
    type: int
  url:
    description: For clouds other than Google, O(secure), O(host) and O(port) in one.
    type: str
  arguments:
    description:
      - For clouds other than Google, any other argument of the constructor of libcloud's driver, such as
        C(ex_force_auth_url) of V(openstack) or C(tenant_id) of V(azure_arm).
    type: dict
    default: {}
requirements:
  - apache-libcloud (for clouds other than Google)
"""
