# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks: each prints one JSON line a figure. `python -m benchmarks [NAME ...]`; `make bench` runs
all."""
