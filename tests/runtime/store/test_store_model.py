# SPDX-License-Identifier: GPL-3.0-or-later
"""Each store against a model of some lines: writes, reads, compaction, restarts and crashes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from etcd_support import Etcd
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from navarch.store.base import Compacted, Conflict, Event, Exists, KeyValue, Missing, Store
from navarch.store.etcd.store import EtcdStore
from navarch.store.sqlite import SqliteStore

KEYS = st.sampled_from(["/a/1", "/a/2", "/a/22", "/b/1", "/b/ü"])
PREFIXES = st.sampled_from(["/", "/a/", "/a/2", "/b/", "/c/"])
VALUES = st.binary(max_size=6)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="store-model-"))
        self.lives = 0
        #: What the store holds, each revision's whole state, and all events since `since`.
        self.now: dict[str, KeyValue] = {}
        self.states: dict[int, dict[str, KeyValue]] = {}
        self.written: list[Event] = []
        self.compacted = 0
        #: As `now`, without heartbeats that may be lost; revisions up to `promised` are used up.
        self.durable: dict[str, KeyValue] = {}
        self.seen: list[Event] = []

    def run(self, work):  # type: ignore[no-untyped-def]  # any awaitable
        async def bounded():  # type: ignore[no-untyped-def]
            async with asyncio.timeout(20):
                return await work

        return self.loop.run_until_complete(bounded())

    @initialize()
    def open(self) -> None:
        self.store = self.make()
        self.run(self.store.start())
        self.seen = []
        self.store.subscribe("/", self.store.revision, self.seen.extend)
        self.expected_seen: list[Event] = []

    def make(self) -> Store:
        return SqliteStore(str(self.folder / "store.db"), flush_interval=0.002, history=0)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def note(self, event: Event, *, durable: bool = True) -> None:
        assert not self.written or event.revision > self.written[-1].revision
        if event.deleted:
            del self.now[event.key]
            self.durable.pop(event.key, None)
        else:
            self.now[event.key] = KeyValue(event.key, event.value, event.revision, event.created)
            if durable:
                self.durable[event.key] = self.now[event.key]
        self.states[event.revision] = dict(self.now)
        self.written.append(event)
        self.expected_seen.append(event)

    @rule(key=KEYS, value=VALUES)
    def create(self, key: str, value: bytes) -> None:
        try:
            revision = self.run(self.store.create(key, value))
        except Exists as exc:
            assert exc.revision == self.now[key].revision
        else:
            assert key not in self.now
            self.note(Event(key, value, revision, revision))

    @rule(key=KEYS, value=VALUES, behind=st.sampled_from([0, 0, 0, 1]))
    def update(self, key: str, value: bytes, behind: int) -> None:
        old = self.now.get(key)
        expected = (old.revision if old else 1) - behind
        try:
            revision = self.run(self.store.update(key, value, expected=expected))
        except Missing:
            assert old is None
        except Conflict as exc:
            assert behind
            assert exc.found == old.revision
        else:
            assert old is not None
            assert not behind
            self.note(Event(key, value, revision, old.created))

    @rule(key=KEYS, any_revision=st.booleans())
    def delete(self, key: str, any_revision: bool) -> None:
        old = self.now.get(key)
        try:
            revision = self.run(
                self.store.delete(key, expected=0 if any_revision or not old else old.revision)
            )
        except Missing:
            assert old is None
        else:
            assert old is not None
            self.note(Event(key, b"", revision, old.created, True))

    @rule(prefix=PREFIXES, limit=st.integers(0, 3))
    def read(self, prefix: str, limit: int) -> None:
        page = self.run(self.store.range(prefix, limit=limit))
        wanted = [self.now[key] for key in sorted(self.now) if key.startswith(prefix)]
        assert page.items == (wanted[:limit] if limit else wanted)
        assert page.remaining == len(wanted) - len(page.items)
        assert page.revision == self.store.revision
        for item in page.items:
            assert self.run(self.store.get(item.key)) == item

    @rule(prefix=PREFIXES, back=st.integers(0, 8))
    def read_old(self, prefix: str, back: int) -> None:
        if back >= len(self.written):
            return
        revision = self.written[-1 - back].revision
        try:
            page = self.run(self.store.range(prefix, revision=revision))
        except Compacted:
            assert revision < self.compacted
        else:
            state = self.states[revision]
            assert page.items == [state[key] for key in sorted(state) if key.startswith(prefix)]
            for key, item in state.items():
                assert self.run(self.store.get(key, revision=revision)) == item

    @rule(prefix=PREFIXES, back=st.integers(0, 12))
    def watch(self, prefix: str, back: int) -> None:
        since = max(0, self.store.revision - back)
        got: list[Event] = []
        try:
            subscription = self.store.subscribe(prefix, since, got.extend)
        except Compacted:
            assert since < self.compacted
            return
        wanted = [e for e in self.written if e.revision > since and e.key.startswith(prefix)]

        async def arrive() -> None:
            while len(got) < len(wanted):
                await asyncio.sleep(0.001)

        self.run(arrive())
        subscription.close()
        assert got == wanted

    @rule(back=st.integers(0, 5))
    def compact(self, back: int) -> None:
        revision = max(self.store.revision - back, self.compacted)
        self.run(self.store.compact(revision))
        self.compacted = max(self.compacted, revision)

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.open()

    @precondition(lambda self: self.lives < 5)
    @rule()
    def crash(self) -> None:
        """The files as they are on disk now, opened by the next life; this one never says goodbye."""
        self.lives += 1
        folder = Path(tempfile.mkdtemp(prefix="store-model-"))
        before = self.store.revision
        for file in sorted(self.folder.glob("store.db*")):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        self.run(self.store.close())
        shutil.rmtree(self.folder)
        self.folder = folder
        self.open()
        assert self.store.revision >= before
        self.compacted = max(self.compacted, self.store.compacted)

    @invariant()
    def everything_was_delivered_in_order(self) -> None:
        if hasattr(self, "store"):
            assert self.seen == self.expected_seen


class EtcdMachine(StoreMachine):
    """The same on etcd, whose member is what crashes; the store goes on."""

    etcd: Etcd
    lasting: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.loop.close()
        # gRPC keeps to the event loops that it met.
        self.loop = self.lasting
        self.root = self.etcd.root()

    def make(self) -> Store:
        return EtcdStore(self.etcd.endpoints, root=self.root, history=0)

    def note(self, event: Event, *, durable: bool = True) -> None:
        if event.deleted:
            event = Event(event.key, b"", event.revision, 0, True)
        super().note(event, durable=durable)

    @initialize()
    def open(self) -> None:
        super().open()
        # Of this or of an earlier example: compaction is of the whole etcd.
        self.compacted = self.store.compacted

    def teardown(self) -> None:
        self.run(self.store.close())
        shutil.rmtree(self.folder)

    @precondition(lambda self: not self.lives)
    @rule()
    def crash(self) -> None:
        self.lives += 1
        for member in self.etcd.members:
            member.stop(kill=True)
            member.start()


class HeartbeatMachine(StoreMachine):
    """The same with heartbeats, whose history is coalesced: only the present, and what a crash may lose."""

    @rule(key=KEYS, value=VALUES)
    def beat(self, key: str, value: bytes) -> None:
        old = self.now.get(key)
        if old is None:
            return
        revision = self.run(self.store.update(key, value, expected=old.revision, durable=False))
        self.note(Event(key, value, revision, old.created), durable=False)

    @rule()
    def breathe(self) -> None:
        """Let a flush happen, or not."""
        self.run(asyncio.sleep(0.004))

    @rule(prefix=PREFIXES, back=st.integers(0, 8))
    def read_old(self, prefix: str, back: int) -> None:
        """The state of some time, but never newer than what was asked for."""
        if back >= len(self.written):
            return
        revision = self.written[-1 - back].revision
        try:
            page = self.run(self.store.range(prefix, revision=revision))
        except Compacted:
            assert revision < self.compacted
        else:
            state = self.states[revision]
            assert [item.key for item in page.items] == [k for k in sorted(state) if k.startswith(prefix)]
            for item in page.items:
                assert item.revision <= state[item.key].revision
                assert item.created == state[item.key].created

    @rule(prefix=PREFIXES, back=st.integers(0, 12))
    def watch(self, prefix: str, back: int) -> None:
        """Whoever resumes ends with the present state."""
        since = max(0, self.store.revision - back)
        got: list[Event] = []
        try:
            subscription = self.store.subscribe(prefix, since, got.extend)
        except Compacted:
            assert since < self.compacted
            return
        wanted = [e for e in self.written if e.revision > since and e.key.startswith(prefix)]

        async def arrive() -> None:
            while wanted and not (got and got[-1] == wanted[-1]):
                await asyncio.sleep(0.001)

        self.run(arrive())
        subscription.close()
        assert [e.revision for e in got] == sorted({e.revision for e in got})
        for event in got:
            assert event in wanted
        final = {e.key: e for e in wanted}
        assert {e.key: e for e in got} == final

    @precondition(lambda self: self.lives < 5)
    @rule()
    def crash(self) -> None:
        super().crash()
        # Each key is at its last durable state or at a heartbeat after it.
        page = self.run(self.store.range("/"))
        assert {item.key for item in page.items} == set(self.now)
        for item in page.items:
            assert self.durable[item.key].revision <= item.revision <= self.now[item.key].revision
            self.now[item.key] = item
            self.durable[item.key] = item
        if any(e.revision > self.compacted for e in self.written):
            # Nothing was lost, or nobody may watch across it.
            assert all(self.states[self.written[-1].revision][i.key] == i for i in page.items)
        self.states = {r: s for r, s in self.states.items() if r >= self.compacted}


QUICK = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    database=None,
)


@pytest.mark.parametrize("machine", [StoreMachine, HeartbeatMachine])
def test_the_store_behaves_like_the_model(machine: type[StoreMachine]) -> None:
    case = machine.TestCase
    case.settings = QUICK
    case().runTest()


def test_the_etcd_store_behaves_like_the_model(etcd: Etcd) -> None:
    EtcdMachine.etcd = etcd
    EtcdMachine.lasting = asyncio.new_event_loop()
    case = EtcdMachine.TestCase
    case.settings = settings(QUICK, max_examples=10, phases=[Phase.generate])
    case().runTest()
    EtcdMachine.lasting.close()
