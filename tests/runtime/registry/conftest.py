# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry on a real SQLite store in the test's own folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from registry_support import SCHEME

from navarch.registry.admission.namespace_lifecycle import NamespaceLifecycle
from navarch.registry.registry import Registry
from navarch.store.sqlite import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(str(tmp_path / "registry.db"))
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def registry(store: SqliteStore) -> AsyncIterator[Registry]:
    made = Registry(store, SCHEME, admission=[NamespaceLifecycle()])
    await made.start()
    yield made
    await made.close()
