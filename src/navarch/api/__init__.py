# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire types: one file a kind, and the machinery they share. Imports nothing else of ours."""
