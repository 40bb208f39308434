# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks [NAME ...]`: run the named benchmarks, or all."""

from __future__ import annotations

import importlib
import sys

NAMES = ("api", "scheduling", "node", "dns", "proxy", "services", "throughput", "ansible", "inventory")


def main() -> int:
    names = sys.argv[1:] or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in names:
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


sys.exit(main())
