# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch cache: as new as the store, watch semantics of the API, one evaluation a group, slow watchers
ended.
"""

from __future__ import annotations

import asyncio
import random
import weakref
from collections.abc import AsyncIterator

import msgspec
import pytest

from navarch.store.base import Compacted, Future, Store, Unavailable
from navarch.store.cache import Batch, Cache, Entry, Lagging, Row, Watcher

HEAD = b'{"rv":"'


def value(labels: str = "", node: str = "") -> bytes:
    return HEAD + b'","app":"%b","node":"%b"}' % (labels.encode(), node.encode())


def splice(stored: bytes, revision: int) -> bytes:
    return b"%b%d%b" % (stored[: len(HEAD)], revision, stored[len(HEAD) :])


def index(stored: bytes, hint: object) -> Row:
    doc = msgspec.json.decode(stored)
    return Row({"app": doc["app"]} if doc["app"] else None, {"spec.nodeName": doc["node"]})


def app(name: str) -> object:
    return lambda entry: entry.labels is not None and entry.labels.get("app") == name


def told(batches: list[Batch]) -> list[tuple[str, str]]:
    return [(c.kind, c.entry.key.rpartition("/")[2]) for b in batches for c in b.changes]


def new_cache(store: Store, **options: int) -> Cache:
    return Cache(store, "/pods/", index=index, splice=splice, **options)  # type: ignore[arg-type]


@pytest.fixture
async def cache(store: Store) -> AsyncIterator[Cache]:
    cache = new_cache(store)
    await cache.start()
    yield cache
    await cache.close()


def watch(cache: Cache, prefix: str = "/pods/", since: int | None = None, **options: object) -> Watcher:
    options.setdefault("group", "all")
    options.setdefault("match", None)
    at = cache.revision if since is None else since
    return cache.watch(prefix=prefix, since=at, **options)  # type: ignore[arg-type]


async def test_a_write_is_seen_as_soon_as_it_is_answered(store: Store, cache: Cache) -> None:
    at = await store.create("/pods/ns/a", value("web"))
    entry = cache.get("/pods/ns/a")
    assert entry is not None
    assert entry.value == splice(value("web"), at)
    assert (entry.revision, entry.created, entry.labels) == (at, at, {"app": "web"})
    at = await store.update("/pods/ns/a", value("db"), expected=at, durable=False)
    assert cache.get("/pods/ns/a").revision == at == cache.revision  # type: ignore[union-attr]
    await store.delete("/pods/ns/a")
    assert cache.get("/pods/ns/a") is None
    assert cache.scan("/pods/") == []
    assert cache.revision == store.revision


def test_sharing_keeps_little_of_what_is_gone(store: Store) -> None:
    """Objects that come and go with values of their own (events, pods' addresses)."""

    class Values(dict[str, str]):
        """A dict that can be referred to weakly."""

    cache = new_cache(store)
    alive: weakref.WeakValueDictionary[int, Values] = weakref.WeakValueDictionary()
    for i in range(30_000):
        alive[i] = values = Values(name=str(i))
        cache._share(values)
    assert len(alive) <= 10_000
    kept = Values(app="web")
    assert cache._share(kept) is cache._share(Values(app="web")) is kept


async def test_it_starts_with_what_is_there_while_writers_go_on(store: Store) -> None:
    await asyncio.gather(*(store.create(f"/pods/ns/{n:05}", value()) for n in range(4500)))
    await store.create("/other/ns/a", value())
    stop = False

    async def churn(worker: int) -> None:
        while not stop:
            at = await store.create(f"/pods/ns/new-{worker}", value())
            at = await store.update(f"/pods/ns/new-{worker}", value("x"), expected=at)
            if random.random() < 0.7:
                await store.delete(f"/pods/ns/new-{worker}", expected=at)
                await store.delete(f"/pods/ns/{random.randrange(100):05}")
            else:
                break

    writers = [asyncio.create_task(churn(worker)) for worker in range(8)]
    cache = new_cache(store)
    await cache.start()
    stop = True
    await asyncio.gather(*writers, return_exceptions=True)
    page = await store.range("/pods/")
    assert [(e.key, e.revision, e.value) for e in cache.scan("/pods/")] == [
        (i.key, i.revision, splice(i.value, i.revision)) for i in page.items
    ]
    assert cache.count("/pods/") == len(page.items)
    await cache.close()


async def test_scans_are_in_key_order_whatever_the_order_of_writes(store: Store, cache: Cache) -> None:
    keys = [f"/pods/{ns}/{name}" for ns in ("a", "a-b", "b", "aa") for name in ("x", "x-1", "y", "xa")]
    random.Random(1).shuffle(keys)
    for at, key in enumerate(keys):
        await store.create(key, value())
        if at % 3 == 0:
            assert [entry.key for entry in cache.scan("/pods/")] == sorted(keys[: at + 1])
    await store.delete(keys[3])
    await store.create(keys[3], value())
    assert [entry.key for entry in cache.scan("/pods/")] == sorted(keys)
    for prefix in ("/pods/a/", "/pods/a", "/pods/a/x", "/pods/zz/", "/pods/b/x-1"):
        wanted = sorted(key for key in keys if key.startswith(prefix))
        assert [entry.key for entry in cache.scan(prefix)] == wanted
        assert cache.count(prefix) == len(wanted)


async def test_nested_directories_stay_in_key_order(store: Store, cache: Cache) -> None:
    keys = ["/pods/a/b/x", "/pods/a/a", "/pods/a/c", "/pods/a"]
    for key in keys:
        await store.create(key, value())
    assert [entry.key for entry in cache.scan("/pods/")] == sorted(keys)
    assert [entry.key for entry in cache.scan("/pods/a/")] == sorted(keys)[1:]
    assert cache.count("/pods/a/") == 3


async def test_a_deletion_carries_the_last_value_at_its_own_revision(store: Store, cache: Cache) -> None:
    await store.create("/pods/ns/a", value("web"))
    watcher = watch(cache)
    at = await store.delete("/pods/ns/a")
    change = (await watcher.next()).changes[0]
    assert change.kind == "DELETED"
    assert change.entry.value == splice(value("web"), at)
    assert change.entry.revision == at
    assert change.previous is not None


async def test_entering_and_leaving_a_selector(store: Store, cache: Cache) -> None:
    watcher = watch(cache, group="app=web", match=app("web"))
    at = await store.create("/pods/ns/a", value("db"))
    at = await store.update("/pods/ns/a", value("web"), expected=at)
    at = await store.update("/pods/ns/a", value("web", "n1"), expected=at)
    at = left = await store.update("/pods/ns/a", value("db"), expected=at)
    at = await store.update("/pods/ns/a", value("web"), expected=at)
    at = await store.delete("/pods/ns/a", expected=at)
    batches = watcher.ready()
    assert [kind for kind, _ in told(batches)] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    gone = batches[2].changes[0].entry
    assert (gone.revision, gone.labels) == (left, {"app": "db"})
    again = watch(cache, since=cache.oldest, group="app=web", match=app("web"))
    assert told(again.ready()) == told(batches)


async def test_watchers_of_a_group_share_one_evaluation_and_one_batch(store: Store, cache: Cache) -> None:
    calls = 0

    def match(entry: Entry) -> bool:
        nonlocal calls
        calls += 1
        return True

    watchers = [watch(cache, group="one", match=match) for _ in range(50)]
    await store.create("/pods/ns/a", value())
    batches = {id(await watcher.next()) for watcher in watchers}
    assert len(batches) == 1
    assert calls == 1


async def test_a_change_finds_the_watchers_of_its_node_only(store: Store, cache: Cache) -> None:
    calls = 0

    def match(entry: Entry) -> bool:
        nonlocal calls
        calls += 1
        return True

    watchers = [watch(cache, group="n", match=match, by=("spec.nodeName", f"n{n}")) for n in range(5000)]
    at = await store.create("/pods/ns/a", value())
    at = await store.update("/pods/ns/a", value(node="n7"), expected=at)
    at = await store.update("/pods/ns/a", value("x", node="n7"), expected=at)
    await store.update("/pods/ns/a", value(node="n8"), expected=at)
    assert told(watchers[7].ready()) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert told(watchers[8].ready()) == [("ADDED", "a")]
    assert calls < 20
    assert not any(watcher.ready() for watcher in watchers)
    for watcher in watchers:
        watcher.close()
    assert not cache._dispatcher


async def test_a_watch_of_one_object_by_name(store: Store, cache: Cache) -> None:
    by_name = watch(cache, "/pods/ns/", by=("metadata.name", "a"))
    by_key = watch(cache, "/pods/ns/a", match=lambda entry: entry.key == "/pods/ns/a")
    namespace = watch(cache, "/pods/ns/")
    for key in ("/pods/ns/a", "/pods/ns/ab", "/pods/other/a"):
        await store.create(key, value())
    assert told(by_name.ready()) == told(by_key.ready()) == [("ADDED", "a")]
    assert told(namespace.ready()) == [("ADDED", "a"), ("ADDED", "ab")]


async def test_a_watch_resumes_without_gap_or_duplicate(store: Store, cache: Cache) -> None:
    stop = False

    async def write(worker: int) -> None:
        n = 0
        while not stop:
            await store.create(f"/pods/ns{worker % 3}/{worker}-{n}", value("web"))
            n += 1

    writers = [asyncio.create_task(write(worker)) for worker in range(8)]
    seen: list[int] = []
    watcher = watch(cache)
    start = watcher.revision
    for _ in range(30):
        batch = await watcher.next()
        seen += [change.entry.revision for change in batch.changes]
        # Reconnect where it stopped, as a client does.
        watcher.close()
        watcher = watch(cache, since=seen[-1])
    stop = True
    await asyncio.gather(*writers)
    seen += [change.entry.revision for batch in watcher.ready() for change in batch.changes]
    assert seen == list(range(start + 1, store.revision + 1))
    assert watcher.revision == store.revision


async def test_the_window_is_bounded_and_says_so(store: Store) -> None:
    cache = new_cache(store, window=10)
    await cache.start()
    first = await store.create("/pods/ns/a", value())
    for n in range(20):
        await store.create(f"/pods/ns/b{n}", value())
    with pytest.raises(Compacted):
        watch(cache, since=first)
    assert cache.oldest == cache.revision - 10
    assert len(told(watch(cache, since=cache.oldest).ready())) == 10
    with pytest.raises(Future):
        watch(cache, since=cache.revision + 1)
    await cache.close()


async def test_a_slow_watcher_reads_on_from_the_window(store: Store, cache: Cache) -> None:
    slow, quick = watch(cache, limit=5), watch(cache)
    narrow = watch(cache, limit=5, group="app=db", match=app("db"))
    for n in range(10):
        await store.create(f"/pods/ns/{n}", value("db" if n == 9 else "web"))
    assert slow.waiting == 0
    assert slow.revision < cache.revision, "a bookmark must not say more than was handed out"
    assert told([await slow.next()]) == [("ADDED", str(n)) for n in range(10)]
    assert told([await narrow.next()]) == [("ADDED", "9")]
    assert len(told(quick.ready())) == 10
    await store.create("/pods/ns/live", value())
    assert told([await slow.next()]) == told(quick.ready()) == [("ADDED", "live")]
    assert slow.revision == cache.revision


async def test_a_watcher_that_the_window_left_behind_is_ended_and_the_others_go_on(store: Store) -> None:
    cache = new_cache(store, window=8)
    await cache.start()
    slow, quick = watch(cache, limit=5), watch(cache)
    for n in range(10):
        await store.create(f"/pods/ns/{n}", value())
    with pytest.raises(Lagging):
        await slow.next()
    assert slow.ready() == []
    assert len(told(quick.ready())) == 10
    await cache.close()


async def test_a_waiting_watcher_is_woken_and_told_when_closed(store: Store, cache: Cache) -> None:
    watcher, other = watch(cache), watch(cache)
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    await store.create("/pods/ns/a", value())
    assert told([await waiting]) == [("ADDED", "a")]
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    watcher.close()
    with pytest.raises(Unavailable):
        await waiting
    assert told(other.ready()) == [("ADDED", "a")]
    waiting = asyncio.create_task(other.next())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await store.create("/pods/ns/b", value())
    assert told([await other.next()]) == [("ADDED", "b")]
    await cache.close()
    with pytest.raises(Unavailable):
        await other.next()


async def test_revisions_of_other_prefixes_move_bookmarks(store: Store, cache: Cache) -> None:
    watcher = watch(cache)
    at = await store.create("/other/a", b"")
    assert watcher.revision == cache.revision == at
    at = await store.create("/pods/ns/a", value())
    assert watcher.revision < at
    watcher.ready()
    assert watcher.revision == at


async def test_hints_reach_watchers_and_are_not_kept(store: Store, cache: Cache) -> None:
    keeper = Cache(store, "/pods/", index=index, splice=splice, keep_hints=True)
    await keeper.start()
    watcher = watch(cache)
    hint = object()
    await store.create("/pods/ns/a", value(), hint=hint)
    assert (await watcher.next()).changes[0].entry.hint is hint
    assert cache.get("/pods/ns/a").hint is None  # type: ignore[union-attr]
    assert keeper.get("/pods/ns/a").hint is hint  # type: ignore[union-attr]
    resumed = watch(cache, since=cache.oldest)
    assert (await resumed.next()).changes[0].entry.hint is None
    await keeper.close()


async def test_equal_labels_are_one_object(store: Store, cache: Cache) -> None:
    for n in range(3):
        await store.create(f"/pods/ns/{n}", value("web", "n1"))
    entries = cache.scan("/pods/")
    assert len({id(entry.labels) for entry in entries}) == 1
    assert len({id(entry.fields) for entry in entries}) == 1
