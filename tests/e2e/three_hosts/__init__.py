# SPDX-License-Identifier: GPL-3.0-or-later
"""End-to-end tests on three hosts with systemd, each a container; tools/hosts.sh makes them."""
