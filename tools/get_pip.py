# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for get-pip.py, which is on no package index: pip from ensurepip first, then the asked one."""

import subprocess
import sys

wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"])
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *wanted]))
