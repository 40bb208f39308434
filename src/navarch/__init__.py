# SPDX-License-Identifier: GPL-3.0-or-later
"""Navarch: a pod cluster that speaks the Kubernetes API. Here only what every part may know: who we are."""

__version__ = "0.1.0"

#: The Kubernetes API level the master speaks, as (major, minor).
API_LEVEL = ("1", "37")

#: What `/version` answers as gitVersion.
GIT_VERSION = f"v{API_LEVEL[0]}.{API_LEVEL[1]}.0+navarch.{__version__}"
