# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire types. `machinery` holds what all kinds share; the other packages are API groups, one file a kind.

`builtin` collects the kinds into a scheme. Nothing here imports another part of Navarch.
"""
