# SPDX-License-Identifier: GPL-3.0-or-later
"""Pod: its types, defaults, rules and table. Also what other kinds hold of pods: specs and templates."""
