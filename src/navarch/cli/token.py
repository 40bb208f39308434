# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch token create|list|delete`: the tokens that nodes join with, kept as Secrets in kube-system."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from navarch.cli import Failure
from navarch.cli.config import duration

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a token and print it")
    create.add_argument(
        "--ttl", default="24h", help="how long it is good for, such as 24h or 30m; 0 is for ever (24h)"
    )
    create.add_argument("--description", default="", help="what it is for")
    listing = actions.add_parser("list", help="list the tokens, without their secrets")
    delete = actions.add_parser("delete", help="delete a token")
    delete.add_argument("id", help="the token, or the part before its dot")
    for sub in (create, listing, delete):
        sub.add_argument(
            "--kubeconfig", metavar="FILE", default=os.environ.get("KUBECONFIG", "/etc/navarch/admin.conf")
        )


def run(options: argparse.Namespace) -> int:
    from navarch.api.machinery.errors import StatusError
    from navarch.client.kubeconfig import KubeconfigError

    actions = {"create": _create, "list": _list, "delete": _delete}
    try:
        return asyncio.run(_with_client(actions[options.action], options))
    except KubeconfigError as error:
        raise Failure(f"--kubeconfig: {error}", 2) from None
    except StatusError as error:
        raise Failure(error.message) from None


async def _with_client(action: Any, options: argparse.Namespace) -> int:
    from navarch.client.http import HttpClient

    async with HttpClient.from_kubeconfig(options.kubeconfig) as client:
        code: int = await action(client, options)
        return code


def new_token() -> tuple[str, str]:
    """(id, secret)."""
    return (
        "".join(secrets.choice(_ALPHABET) for _ in range(6)),
        "".join(secrets.choice(_ALPHABET) for _ in range(16)),
    )


def token_data(id: str, secret: str, *, seconds: float, description: str) -> dict[str, str]:
    """The data of a token's Secret, as text. seconds 0: it does not expire."""
    data = {
        "token-id": id,
        "token-secret": secret,
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": "system:bootstrappers:navarch:nodes",
    }
    if description:
        data["description"] = description
    if seconds:
        data["expiration"] = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return data


async def _create(client: Any, options: argparse.Namespace) -> int:
    from navarch.api.core.secret import Secret
    from navarch.api.machinery.meta import ObjectMeta
    from navarch.auth.authn.bootstrap import NAMESPACE, PREFIX, SECRET_TYPE

    try:
        seconds = 0.0 if options.ttl == "0" else duration(options.ttl)
    except ValueError as error:
        raise Failure(f"--ttl: {error}", 2) from None
    id, secret = new_token()
    data = token_data(id, secret, seconds=seconds, description=options.description)
    await client.create(
        Secret(
            metadata=ObjectMeta(name=PREFIX + id, namespace=NAMESPACE),
            type=SECRET_TYPE,
            data={key: value.encode() for key, value in data.items()},
        )
    )
    print(f"{id}.{secret}")
    return 0


def _text(data: Mapping[str, bytes], key: str) -> str:
    return data.get(key, b"").decode(errors="replace")


async def _list(client: Any, options: argparse.Namespace) -> int:
    from navarch.api.core.secret import Secret
    from navarch.auth.authn.bootstrap import NAMESPACE, SECRET_TYPE, expired

    found = await client.list(Secret, NAMESPACE, fields=f"type={SECRET_TYPE}")
    print(f"{'TOKEN ID':10}{'EXPIRES':24}DESCRIPTION")
    for secret in found.items:
        data = secret.data or {}
        until = _text(data, "expiration")
        expiry = "expired" if expired(until) else until or "never"
        print(f"{_text(data, 'token-id'):10}{expiry:24}{_text(data, 'description')}")
    return 0


async def _delete(client: Any, options: argparse.Namespace) -> int:
    from navarch.api.core.secret import Secret
    from navarch.auth.authn.bootstrap import NAMESPACE, PREFIX

    id = options.id.partition(".")[0]
    await client.delete(Secret, PREFIX + id, NAMESPACE)
    print(f"token {id} deleted")
    return 0
