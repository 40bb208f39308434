# SPDX-License-Identifier: GPL-3.0-or-later
"""A stdout callback: what runs now and how it ended, one line a task, and the full story of failures.

Only what is printed. A line starts while its task runs, so that a long step says what it is doing; off a
terminal it starts after a second, so that skipped tasks leave no trace there either.
"""

from __future__ import annotations

import sys
import threading
import time

from ansible.plugins.callback.default import CallbackModule as DefaultCallback

DOCUMENTATION = """
name: steps
type: stdout
short_description: One line a task
description:
  - Prints each task when it starts, and its outcome on the same line. Skipped tasks leave no line.
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
        self.line = None
        self.shown = False
        self.timer = None
        self.lock = threading.Lock()

    def start(self, task, word=""):
        """Begin the line of a task; `word` goes before its name."""
        self.close("")
        self.started = time.monotonic()
        self.line = f"    {word}{task.get_name().strip().removeprefix('navarch.cluster.')} ... "
        self.shown = False
        if self.terminal:
            self.show()
        else:
            self.timer = threading.Timer(1.0, self.show)
            self.timer.daemon = True
            self.timer.start()

    def show(self):
        with self.lock:
            if self.line is not None and not self.shown:
                self.shown = True
                sys.stdout.write(self.line)
                sys.stdout.flush()

    def close(self, outcome):
        """End the line that is open, if one is. No outcome: the line goes as if it had never been."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        with self.lock:
            line, self.line = self.line, None
            if line is None:
                return
            took = time.monotonic() - self.started
            if outcome in ("", "skipped") and self.terminal:
                sys.stdout.write("\r\033[K")
            elif outcome in ("", "skipped"):
                sys.stdout.write(outcome + "\n" if self.shown else "")
            else:
                words = outcome + (f" ({took:.0f} s)" if took >= 2 else "")
                sys.stdout.write(("" if self.shown else line) + words + "\n")
                self._display.display(line + words, log_only=True)
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
