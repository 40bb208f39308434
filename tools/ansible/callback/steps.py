# SPDX-License-Identifier: GPL-3.0-or-later
"""A stdout callback that says what runs now and how it ended, one line a task, and the full story of failures.

Only what is printed; a line starts when its task starts, so that a long step says what it is doing.
"""

from __future__ import annotations

import sys
import time

from ansible.plugins.callback.default import CallbackModule as DefaultCallback

DOCUMENTATION = """
name: steps
type: stdout
short_description: One line a task
description:
  - Prints each task when it starts and its outcome on the same line. Skipped tasks leave no line on a terminal.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""


class CallbackModule(DefaultCallback):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "steps"

    def __init__(self):
        super().__init__()
        self.terminal = sys.stdout.isatty()
        self.started = time.monotonic()
        self.open = False

    def start(self, task, word=""):
        name = task.get_name().strip().removeprefix("navarch.cluster.")
        self.close("")
        self.started = time.monotonic()
        sys.stdout.write(f"    {word}{name} ... ")
        sys.stdout.flush()
        self.open = True

    def close(self, outcome):
        """End the line that is open, if one is."""
        if not self.open:
            return
        self.open = False
        took = time.monotonic() - self.started
        if outcome == "skipped" and self.terminal:
            sys.stdout.write("\r\033[K")
        else:
            sys.stdout.write(outcome + (f" ({took:.0f} s)" if took >= 2 and outcome else "") + "\n")
        sys.stdout.flush()

    def v2_playbook_on_play_start(self, play):
        self.close("")
        print(f"==> {play.get_name().strip()}", flush=True)

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.start(task)

    def v2_playbook_on_handler_task_start(self, task):
        self.start(task, "handler: ")

    def v2_playbook_on_include(self, included_file):
        self.close("")

    def v2_runner_on_start(self, host, task):
        pass

    def v2_runner_on_ok(self, result):
        self.close("changed" if result._result.get("changed") else "ok")
        if result._task.action in ("debug", "ansible.builtin.debug"):
            message = result._result.get("msg", "")
            for line in message if isinstance(message, list) else [message]:
                print(f"    {line}", flush=True)

    def v2_runner_on_skipped(self, result):
        self.close("skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.close("failed")
        super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_on_unreachable(self, result):
        self.close("unreachable")
        super().v2_runner_on_unreachable(result)

    def v2_runner_retry(self, result):
        pass

    def v2_runner_item_on_ok(self, result):
        pass

    def v2_runner_item_on_skipped(self, result):
        pass

    def v2_playbook_on_stats(self, stats):
        self.close("")
        super().v2_playbook_on_stats(stats)
