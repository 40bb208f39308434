# SPDX-License-Identifier: GPL-3.0-or-later
"""End-to-end tests: whole clusters on this machine, with the real Engine and the real kubectl."""
