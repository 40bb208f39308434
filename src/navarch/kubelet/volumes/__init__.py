# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of pods.

One file a type, found through `registry`. Mounting them into containers is the container spec's business.
"""
