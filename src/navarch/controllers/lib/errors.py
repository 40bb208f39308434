# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the API that a controller expects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from navarch.api.machinery.errors import StatusError


@contextmanager
def ignore(*codes: int) -> Iterator[None]:
    """Go on after an answer with one of these codes, as 404 for an object that is gone."""
    try:
        yield
    except StatusError as error:
        if error.code not in codes:
            raise


def namespace_terminating(error: StatusError) -> bool:
    """Whether something was refused because its namespace is being deleted, and its owner soon."""
    return "NamespaceTerminating" in str(error.details)
