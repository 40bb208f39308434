# SPDX-License-Identifier: GPL-3.0-or-later
"""What all kinds share: declaring, encoding, checking, patching and publishing them. Knows no kind."""
