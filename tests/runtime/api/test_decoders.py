# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoders that several threads make and use at a time."""

from __future__ import annotations

import os
import subprocess
import sys

#: A process that knows no type yet, and threads that change over at every chance.
THREADS = """
import sys, threading
from navarch.api.builtin import scheme
from navarch.api.machinery import decode

sys.setswitchinterval(1e-6)
names = ("Pod", "PodTemplate", "ReplicationController", "Deployment")
kinds = [kind for kind in scheme() if kind.kind in names]
body = b'{"metadata":{"name":"a"},"spec":{"template":{"spec":{"containers":[{"name":"c"}]}}}}'
start = threading.Barrier(8)

def work(number):
    start.wait()
    for turn in range(4):
        decode.decode(kinds[(number + turn) % len(kinds)], body)

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_meet_a_type_at_the_same_time_do_not_crash() -> None:
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", THREADS],
            env={**os.environ, "PYTHONPATH": "src"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
        assert not done.stderr
