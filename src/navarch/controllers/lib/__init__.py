# SPDX-License-Identifier: GPL-3.0-or-later
"""What controllers are built from: expectations, adoption, pods made and deleted, conditions, owners.

Knows kinds only as arguments. A controller is one file in the folder above.
"""
