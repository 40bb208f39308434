# SPDX-License-Identifier: GPL-3.0-or-later
"""What the signers sign, and how long certificate requests are kept."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from navarch import pki
from navarch.api.certificates.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
    CertificateSigningRequestStatus,
)
from navarch.api.core.node.node import Node, NodeAddress, NodeStatus
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.api.navarch.noderevocation import NodeRevocation
from navarch.auth.user import User
from navarch.client.events import EventRecorder
from navarch.client.informer import Informers
from navarch.client.local import LocalClient
from navarch.controllers.base import Context, Options
from navarch.controllers.ttl import TimeToLive

SERVING = "kubernetes.io/kubelet-serving"
NODE_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
CLIENT = "kubernetes.io/kube-apiserver-client"
CLIENT_USAGES = ["digital signature", "client auth"]
NODE = ("system:node:n", ("system:nodes",), ("n",))


async def ask(
    cluster: Any, name: str, signer: str, usages: list[str], subject: tuple[str, tuple[str, ...], Any]
) -> CertificateSigningRequest:
    common_name, organizations, names = subject
    pem = pki.make_request(pki.new_key(), common_name, organizations=organizations, names=names)
    spec = CertificateSigningRequestSpec(request=pem, signer_name=signer, usages=usages)
    asked: CertificateSigningRequest = await cluster.client.create(
        CertificateSigningRequest(metadata=ObjectMeta(name=name), spec=spec)
    )
    return asked


async def answer(
    cluster: Any, asked: CertificateSigningRequest, type: str, **times: str
) -> CertificateSigningRequest:
    condition = CertificateSigningRequestCondition(type=type, status="True", reason="ByHand", **times)
    status = CertificateSigningRequestStatus(conditions=[condition])
    done: CertificateSigningRequest = await cluster.client.update(
        replace(asked, status=status), subresource="approval"
    )
    return done


@pytest.mark.parametrize(
    ("signer", "usages", "subject", "why"),
    [
        (SERVING, ["digital signature", "server auth"], NODE, ""),
        (SERVING, ["digital signature", "client auth"], NODE, "does not sign for client auth"),
        (SERVING, ["digital signature"], NODE, "server auth, which is not among the usages"),
        (SERVING, ["server auth"], NODE, "digital signature, which is not among the usages"),
        (SERVING, ["digital signature", "server auth"], ("web", NODE[1], ("n",)), "begin with system:node:"),
        (SERVING, ["digital signature", "server auth"], (NODE[0], (), ("n",)), "is not system:nodes"),
        (SERVING, ["digital signature", "server auth"], (*NODE[:2], ()), "subjectAltName is required"),
        (NODE_CLIENT, ["digital signature", "client auth"], (*NODE[:2], ()), ""),
        (NODE_CLIENT, ["digital signature", "client auth"], NODE, "subjectAltNames are not allowed"),
        *(
            (signer, CLIENT_USAGES, (f"system:node:{name}", NODE[1], ()), "no valid node")
            for name in ("", "../x", "x/y", "X", "a_b", "-a", "a..b", " ")
            for signer in (NODE_CLIENT, CLIENT)
        ),
        (CLIENT, ["key encipherment", "client auth"], ("jane", ("team",), ()), ""),
        (CLIENT, ["client auth", "server auth"], ("jane", (), ()), "does not sign for server auth"),
        (CLIENT, ["digital signature"], ("jane", (), ()), "client auth, which is not among the usages"),
    ],
)
async def test_a_signer_signs_only_what_it_is_for_whoever_approved_it(
    cluster: Any, signer: str, usages: list[str], subject: Any, why: str
) -> None:
    await answer(cluster, await ask(cluster, "r", signer, usages, subject), "Approved")

    async def answered() -> Any:
        status = (await cluster.client.get(CertificateSigningRequest, "r")).status
        failed = [c for c in status.conditions if c.type == "Failed"]
        return (status.certificate, failed) if status.certificate or failed else None

    certificate, failed = await cluster.eventually(answered)
    assert bool(certificate) == (not why)
    assert [c.reason for c in failed] == (["SignerValidationFailure"] if why else [])
    assert all(why in c.message for c in failed)


class _Kubelet:
    """A node with credentials of its own, which says of itself what it likes."""

    def __init__(self, cluster: Any, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.client = LocalClient(cluster.registry, User(f"system:node:{name}", ("system:nodes",)))
        self.admin = cluster.client

    async def has(self, *addresses: str) -> None:
        """As an administrator writes it, or a master of before these rules took it."""
        status = NodeStatus(addresses=[NodeAddress(type=f"T{i}", address=a) for i, a in enumerate(addresses)])
        try:
            await self.admin.create(Node(metadata=ObjectMeta(name=self.name)))
        except StatusError as error:
            assert error.code == 409
        stored = await self.admin.get(Node, self.name)
        await self.admin.update(replace(stored, status=status), subresource="status")

    async def ask(self, *names: str) -> str:
        """The name of a request for a serving certificate with these names."""
        request = f"{self.name}-{secrets.token_hex(4)}"
        pem = pki.make_request(
            pki.new_key(), f"system:node:{self.name}", organizations=["system:nodes"], names=names
        )
        usages = ["digital signature", "server auth"]
        spec = CertificateSigningRequestSpec(request=pem, signer_name=SERVING, usages=usages)
        await self.client.create(CertificateSigningRequest(metadata=ObjectMeta(name=request), spec=spec))
        return request

    async def answered(self, request: str) -> bytes | None:
        status = (await self.admin.get(CertificateSigningRequest, request)).status
        return status.certificate if status is not None else None


async def test_a_kubelet_gets_no_certificate_that_stands_for_the_master_or_a_service(
    cluster: Any, caplog: pytest.LogCaptureFixture
) -> None:
    claims = [
        *("127.0.0.1", "10.96.0.1", "kubernetes.default.svc", "localhost", "*.example.com"),
        *("169.254.1.1", "::1", "0.0.0.0", "224.0.0.1", "web.shop.svc.cluster.local"),
    ]
    n1 = _Kubelet(cluster, "n1")
    await n1.has("192.0.2.5", *claims)
    bad = {claim: await n1.ask("n1", "192.0.2.5", claim) for claim in claims}
    bad["not its own"] = await n1.ask("192.0.2.6")
    good = await n1.ask("n1", "192.0.2.5")
    certificate = await cluster.eventually(lambda: n1.answered(good))
    assert pki.inspect(certificate).names == {"n1", "192.0.2.5"}

    async def left() -> bool:
        return all(f"certificate request {name} of" in caplog.text for name in bad.values())

    await cluster.eventually(left)
    for claim, name in bad.items():
        request = await n1.admin.get(CertificateSigningRequest, name)
        assert not (request.status and (request.status.certificate or request.status.conditions)), claim
    # Nor when somebody approves it, tired of asking why it waits.
    await answer(cluster, await n1.admin.get(CertificateSigningRequest, bad["127.0.0.1"]), "Approved")

    async def failed() -> Any:
        status = (await n1.admin.get(CertificateSigningRequest, bad["127.0.0.1"])).status
        assert not status.certificate
        return [c.message for c in status.conditions if c.type == "Failed"]

    assert "127.0.0.1" in (await cluster.eventually(failed))[0]


async def test_what_two_nodes_say_is_theirs_the_older_one_gets(cluster: Any) -> None:
    old, young = _Kubelet(cluster, "z-old"), _Kubelet(cluster, "a-young")
    await old.has("192.0.2.5")
    await asyncio.sleep(1.1)  # creationTimestamp counts seconds
    await young.has("192.0.2.5", "z-old")
    waiting = [await young.ask("192.0.2.5"), await young.ask("z-old")]
    mine = await old.ask("192.0.2.5", "z-old")
    assert await cluster.eventually(lambda: old.answered(mine))
    assert [await young.answered(name) for name in waiting] == [None, None]
    # The other one has moved away, and this one says anew where it is: what waited is answered.
    await old.has("192.0.2.6")
    await young.has("192.0.2.5")
    assert await cluster.eventually(lambda: young.answered(waiting[0]))
    assert await young.answered(waiting[1]) is None


async def test_an_answered_request_is_kept_for_an_hour_and_another_for_a_day(cluster: Any) -> None:
    def at(**ago: int) -> str:
        return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")

    for name in ("pending", "denied", "denied-before", "approved-before"):
        asked = await ask(cluster, name, "acme.com/signer", ["client auth"], ("jane", (), ()))
        type, _, before = name.partition("-")
        if type != "pending":
            time = at(minutes=59 if before else 0)
            await answer(cluster, asked, type.capitalize(), last_update_time=time, last_transition_time=time)
    context = Context(
        cluster.client, Informers(cluster.client), EventRecorder(cluster.client, "test"), Options()
    )
    expiry = TimeToLive(context)

    # A revocation stays as long as a certificate that it refuses may be good.
    await cluster.client.create(NodeRevocation(metadata=ObjectMeta(name="n")))

    async def revoked(days: int) -> int:
        await expiry._sweep(datetime.now(UTC) + timedelta(days=days))
        return len((await cluster.client.list(NodeRevocation)).items)

    async def left(**ahead: int) -> set[str]:
        await expiry._sweep(datetime.now(UTC) + timedelta(**ahead))
        return {r.metadata.name for r in (await cluster.client.list(CertificateSigningRequest)).items}

    assert len(await left()) == 4
    assert await left(minutes=10) == {"pending", "denied"}
    assert await left(minutes=70) == {"pending"}
    assert await left(hours=23) == {"pending"}
    assert await left(hours=25) == set()
    assert [await revoked(days) for days in (366, 368)] == [1, 0]
