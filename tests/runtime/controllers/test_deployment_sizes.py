# SPDX-License-Identifier: GPL-3.0-or-later
"""How many pods each replica set of a deployment gets: bounds that hold in every rollout, and proportions."""

from __future__ import annotations

from deployment_support import deployment, rolling
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from navarch.api.apps.replicaset import ReplicaSet, ReplicaSetSpec, ReplicaSetStatus
from navarch.api.machinery.meta import ObjectMeta
from navarch.controllers.deployments import revisions, sizes

AMOUNTS = st.one_of(st.integers(0, 5), st.sampled_from(["0%", "10%", "25%", "34%", "100%"]))


def rs(name: str, size: int, available: int, created: str = "") -> ReplicaSet:
    return ReplicaSet(
        metadata=ObjectMeta(name=name, creation_timestamp=created or f"2026-01-01T00:00:0{name[-1]}Z"),
        spec=ReplicaSetSpec(replicas=size),
        status=ReplicaSetStatus(replicas=size, ready_replicas=available, available_replicas=available),
    )


def sized(one: ReplicaSet, size: int) -> ReplicaSet:
    status = one.status
    assert status is not None
    available = min(status.available_replicas or 0, size)
    return replace(
        one,
        spec=replace(one.spec, replicas=size),
        status=replace(status, replicas=size, available_replicas=available, ready_replicas=available),
    )


@given(
    replicas=st.integers(0, 12),
    surge=AMOUNTS,
    unavailable=AMOUNTS,
    old=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    healthy=st.lists(st.booleans(), min_size=1, max_size=60),
)
def test_a_rollout_ends_and_stays_within_its_bounds(
    replicas: int, surge: int | str, unavailable: int | str, old: list[int], healthy: list[bool]
) -> None:
    """Old sets that are healthy or not; new pods become available one after the other."""
    d = deployment(replicas=replicas, strategy=rolling(surge, unavailable))
    olds = [rs(f"old{n}", size, size if healthy[n % len(healthy)] else 0) for n, size in enumerate(old)]
    new = rs("new9", 0, 0)
    started_with = sum(map(sizes.available, olds))
    most = max(replicas + sizes.max_surge(d), sum(old))
    least = min(replicas - sizes.max_unavailable(d), started_with)
    for _ in range(400):
        before = (sizes.size(new), sizes.available(new), [sizes.size(o) for o in olds])
        size = sizes.new_size(d, new, [new, *olds])
        if size != sizes.size(new):
            new = sized(new, size)
        else:
            smaller = {o.metadata.name: size for o, size in sizes.old_sizes(d, new, sizes.active(olds))}
            olds = [sized(o, smaller.get(o.metadata.name, sizes.size(o))) for o in olds]
        assert sum(map(sizes.size, [new, *olds])) <= most
        assert sum(map(sizes.available, [new, *olds])) >= least
        if sizes.available(new) < sizes.size(new):
            assert new.status is not None
            one_more = sizes.available(new) + 1
            new = replace(
                new, status=replace(new.status, available_replicas=one_more, ready_replicas=one_more)
            )
        if before == (sizes.size(new), sizes.available(new), [sizes.size(o) for o in olds]):
            break
    assert (sizes.size(new), sizes.available(new)) == (replicas, replicas)
    assert not any(map(sizes.size, olds))


def test_amounts_round_so_that_the_update_is_safe() -> None:
    """25 % of 7: a surge of 2, one unavailable."""
    d = deployment(replicas=7, strategy=rolling("25%", "25%"))
    assert (sizes.max_surge(d), sizes.max_unavailable(d)) == (2, 1)
    assert sizes.max_unavailable(deployment(replicas=3, strategy=rolling(0, "1%"))) == 1


def test_scaling_in_mid_rollout_keeps_proportions() -> None:
    """The example of Kubernetes' documentation: 10 replicas with a surge of 3, scaled to 15."""
    d = deployment(replicas=15, strategy=rolling(3, 2))
    sets = [rs("old1", 8, 8), rs("new2", 5, 0)]
    result = {r.metadata.name: size for r, size in sizes.proportional(d, sets, {"old1": 13, "new2": 13})}
    assert result == {"old1": 11, "new2": 7}


@given(
    replicas=st.integers(0, 40),
    present=st.lists(st.integers(1, 20), min_size=2, max_size=4),
    surge=st.integers(0, 5),
)
def test_proportional_sizes_add_up(replicas: int, present: list[int], surge: int) -> None:
    d = deployment(replicas=replicas, strategy=rolling(surge, 1))
    sets = [rs(f"s{n}", size, size) for n, size in enumerate(present)]
    most = {f"s{n}": sum(present) for n in range(len(present))}
    result = [size for _, size in sizes.proportional(d, sets, most)]
    assert all(size >= 0 for size in result)
    assert sum(result) == (replicas + sizes.max_surge(d) if replicas else 0)


def test_the_hash_tells_templates_apart_and_takes_another_name_after_a_collision() -> None:
    one, other = deployment(image="x:1").spec.template, deployment(image="x:2").spec.template
    hashes = {
        revisions.template_hash(one, 0),
        revisions.template_hash(other, 0),
        revisions.template_hash(one, 1),
    }
    assert len(hashes) == 3
    assert revisions.template_hash(one, 0) == revisions.template_hash(
        deployment(image="x:1").spec.template, 0
    )
