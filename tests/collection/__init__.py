# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a thing to hand out: metadata, tarball, guides. No cluster runs here."""
