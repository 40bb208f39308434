# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch kubelet`: the agent of a node, configured by one file."""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING

from navarch.cli import Failure
from navarch.cli.notify import notify

if TYPE_CHECKING:
    from navarch.kubelet.config import KubeletConfig


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration file (YAML)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="say what is wrong with the configuration, or lacks on this host for it, and end",
    )


def run(options: argparse.Namespace) -> int:
    from navarch.kubelet import config as kubelet_config

    try:
        config = kubelet_config.load(options.config)
    except kubelet_config.ConfigError as error:
        raise Failure(str(error), 2) from None
    if options.check:
        from navarch.kubelet.node.preflight import lacking

        if wrong := lacking(config):
            raise Failure(f"{options.config}: {wrong}", 2)
        return 0
    from navarch.cli.serving import logging_to_stderr

    logging_to_stderr(config.log_level)
    import uvloop

    return uvloop.run(_run(config))


async def _run(config: KubeletConfig) -> int:
    """Until SIGTERM or SIGINT: the agent goes, the pods stay."""
    from navarch import kubelet

    task = asyncio.ensure_future(kubelet.run(config, lambda: notify("READY=1")))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return 0
    except kubelet.KubeletFailure as error:
        raise Failure(str(error)) from None
    finally:
        notify("STOPPING=1")
    return 1
