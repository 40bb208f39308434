# SPDX-License-Identifier: GPL-3.0-or-later
"""What the signers sign, and how long certificate requests are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from navarch import pki
from navarch.api.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
    CertificateSigningRequestStatus,
)
from navarch.api.meta import ObjectMeta
from navarch.client.events import EventRecorder
from navarch.client.informer import Informers
from navarch.controllers.base import Context, Options
from navarch.controllers.expiry import Expiry

SERVING = "kubernetes.io/kubelet-serving"
NODE_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
CLIENT = "kubernetes.io/kube-apiserver-client"
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
    expiry = Expiry(context)

    async def left(**ahead: int) -> set[str]:
        await expiry._sweep(datetime.now(UTC) + timedelta(**ahead))
        return {r.metadata.name for r in (await cluster.client.list(CertificateSigningRequest)).items}

    assert len(await left()) == 4
    assert await left(minutes=10) == {"pending", "denied"}
    assert await left(minutes=70) == {"pending"}
    assert await left(hours=23) == {"pending"}
    assert await left(hours=25) == set()
