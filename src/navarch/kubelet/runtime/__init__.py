# SPDX-License-Identifier: GPL-3.0-or-later
"""Container engines behind one protocol (`base`): `docker`. Pods, probes and the API are not known here."""
