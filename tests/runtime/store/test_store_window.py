# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch caches keep of the past: bytes, time, and who pays when it is too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from store_support import until

from navarch.store.base import Compacted, Store
from navarch.store.cache import Cache, Row
from navarch.store.watchers import BATCH_BYTES
from navarch.store.window import History

KB = 1000


def new_cache(store: Store, prefix: str, history: History) -> Cache:
    return Cache(
        store,
        prefix,
        index=lambda value, hint: Row(None, None),
        splice=lambda value, revision: b"%d " % revision + value,
        history=history,
    )


@pytest.fixture
async def caches(store: Store) -> AsyncIterator[tuple[History, Cache, Cache]]:
    """Two caches, /a/ and /b/, with 100 KB of past between them."""
    history = History(budget=100 * KB)
    found = [new_cache(store, prefix, history) for prefix in ("/a/", "/b/")]
    for cache in found:
        await cache.start()
    yield history, found[0], found[1]
    for cache in found:
        await cache.close()


async def rewrite(store: Store, key: str, times: int, size: int) -> int:
    """Returns the last revision."""
    found = await store.get(key)
    at = found.revision if found is not None else await store.create(key, b"x" * size)
    for _ in range(times):
        at = await store.update(key, b"x" * size, expected=at)
    return at


async def test_living_objects_are_no_past(store: Store, caches: tuple[History, Cache, Cache]) -> None:
    history, cache, _ = caches
    for n in range(20):
        await store.create(f"/a/ns/{n}", b"x" * 50 * KB)
    assert history.kept < 10 * KB
    assert cache.oldest < cache.revision - 19


async def test_the_kind_with_the_most_past_gives_it_up(
    store: Store, caches: tuple[History, Cache, Cache]
) -> None:
    history, noisy, quiet = caches
    first = await store.create("/b/ns/kept", b"")
    await rewrite(store, "/b/ns/kept", 5, KB)
    last = await rewrite(store, "/a/ns/large", 100, 20 * KB)
    assert history.kept <= 100 * KB
    with pytest.raises(Compacted):
        noisy.watch(prefix="/a/", since=last - 20, group=None, match=None)
    watcher = quiet.watch(prefix="/b/", since=first, group=None, match=None)
    assert sum(len(batch.changes) for batch in watcher.ready()) == 5
    recent = noisy.watch(prefix="/a/", since=last - 2, group=None, match=None)
    assert sum(len(batch.changes) for batch in recent.ready()) == 2


async def test_deletions_are_counted_and_let_go(store: Store, caches: tuple[History, Cache, Cache]) -> None:
    history, _, _ = caches
    for n in range(50):
        await store.create(f"/a/ns/{n}", b"x" * 10 * KB)
    for n in range(50):
        await store.delete(f"/a/ns/{n}")
        assert history.kept <= 100 * KB
    assert history.kept > 50 * KB


async def test_the_past_is_let_go_by_time_without_new_writes(store: Store) -> None:
    history = History(seconds=0.3)
    cache = new_cache(store, "/a/", history)
    await cache.start()
    at = await rewrite(store, "/a/ns/x", 10, 10 * KB)
    assert history.kept > 100 * KB
    await until(lambda: history.kept == 0)
    assert cache.oldest == at
    at = await rewrite(store, "/a/ns/x", 1, 10 * KB)  # and the next time, too
    await until(lambda: cache.oldest == at)
    await cache.close()


async def test_who_holds_too_much_of_the_past_is_dropped_the_oldest_first(
    store: Store, caches: tuple[History, Cache, Cache]
) -> None:
    _, cache, other = caches
    for n in range(10):
        await store.create(f"/a/ns/{n}", b"x" * 9 * KB)
    dropped: list[str] = []
    cache.pin(cache.scan("/a/"), lambda: dropped.append("old"))
    await rewrite(store, "/b/ns/x", 50, 10 * KB)
    assert dropped == [], "the other kind's past is not held by it"
    other.pin(other.scan("/b/"), lambda: dropped.append("small"))
    for n in range(10):
        await rewrite(store, f"/a/ns/{n}", 1, 9 * KB)
    ended = cache.pin(cache.scan("/a/"), lambda: dropped.append("ended"))
    cache.unpin(ended)
    cache.pin(cache.scan("/a/"), lambda: dropped.append("new"))
    assert dropped == []
    for n in range(10):
        await rewrite(store, f"/a/ns/{n}", 1, 9 * KB)
    assert dropped == ["old"]


async def test_batches_are_bounded_in_bytes(store: Store, caches: tuple[History, Cache, Cache]) -> None:
    _, cache, _ = caches
    watcher = cache.watch(prefix="/a/", since=cache.revision, group=None, match=None)
    await asyncio.gather(*(store.create(f"/a/ns/{n}", b"x" * 60 * KB) for n in range(20)))
    batches = watcher.ready()
    assert sum(len(batch.changes) for batch in batches) == 20
    assert all(batch.size <= BATCH_BYTES for batch in batches)
