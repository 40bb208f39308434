# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m navarch`."""

import sys

from navarch.cli import main

if __name__ == "__main__":
    sys.exit(main())
