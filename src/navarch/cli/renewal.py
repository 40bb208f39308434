# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates on the master's machine while the master runs: renewed when two thirds of their time are
over, taken up without a restart when their files change, and reported (metric, event, log) when one ends that
cannot be made here.

Which files there are is `cli.pki`'s business, and what they say: a new certificate says what the old one
said. A master without the key of its CA, or with a certificate of another CA, takes up what others write.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from navarch import pki
from navarch.client.base import Client
from navarch.client.events import EventRecorder, Reference
from navarch.client.kubeconfig import load_pair

log = logging.getLogger(__name__)

#: Seconds between looks at the files.
LOOK_EVERY = 60.0
#: How long before its end a CA is reported: a person must make a new one.
AHEAD = timedelta(days=90)
#: How often a warning is repeated.
_AGAIN = timedelta(days=1)


class Leaf(NamedTuple):
    """A certificate that the CA signed. Paths of PEM files."""

    name: str
    certificate: str
    key: str


class _Followed(NamedTuple):
    """A TLS context in use, and the files that it was made of."""

    context: ssl.SSLContext
    leaf: Leaf
    authorities: tuple[str, ...]


class Renewal:
    def __init__(
        self,
        *,
        ca: tuple[str, str],
        leaves: Sequence[Leaf] = (),
        authorities: Sequence[str] = (),
        admin_conf: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        look_every: float = LOOK_EVERY,
    ) -> None:
        """ca: paths of the CA's certificate and key; "" for a key that is not here. leaves: renewed here. The
        one called admin is in the kubeconfig admin_conf too. authorities: paths of further CAs.
        """
        self._ca = ca
        self._leaves = list(leaves)
        self._authorities = [ca[0], *authorities]
        self._admin_conf = admin_conf
        self._clock = clock
        self._look_every = look_every
        self._followed: dict[_Followed, tuple[object, ...]] = {}
        #: Name -> when it ends.
        self._ends: dict[str, datetime] = {}
        #: Leaf -> when it is to be renewed.
        self._due: dict[str, datetime] = {}
        #: Warning -> when it was given.
        self._warned: dict[str, datetime] = {}
        #: Leaf -> why it could not be renewed.
        self._failed: dict[str, str] = {}

    def follow(self, context: ssl.SSLContext, leaf: Leaf, authorities: Sequence[str] = ()) -> None:
        """Give new connections of this context what is in the files when they change. What it trusts grows
        only: what it no longer trusts it loses at the next start.
        """
        followed = _Followed(context, leaf, tuple(authorities))
        self._followed[followed] = _stamps(followed)

    # Renewing.

    def settle(self) -> None:
        """Renew what is due, or is not its key's, as after a crash between two writes. Blocks for some
        milliseconds; `run` reports a failure.
        """
        for leaf in self._leaves:
            try:
                self._renew(leaf)
                self._failed.pop(leaf.name, None)
            except (OSError, pki.PkiError, ValueError) as error:
                self._failed[leaf.name] = str(error)
        self._ends = dict(self._expiries())

    def _renew(self, leaf: Leaf) -> None:
        """Raises OSError, PkiError."""
        pair = pki.Pair(_read(leaf.certificate), _read(leaf.key))
        now = self._clock()
        due = self._due[leaf.name] = pki.inspect(pair.certificate).due
        if now < due and pki.belongs(pair.certificate, pair.key):
            if leaf.name == "admin":
                self._put_in_kubeconfig(pair, now)
            return
        if not self._ca[1]:
            raise pki.PkiError(f"this master has no key of {self._ca[0]}")
        ca = pki.Pair(_read(self._ca[0]), _read(self._ca[1]))
        if not pki.issued_by(pair.certificate, ca.certificate):
            raise pki.PkiError(f"{self._ca[0]} did not sign it")
        made = pki.renew(ca, pair.certificate, at=now)
        pki.write_file(leaf.key, made.key, 0o600)
        pki.write_file(leaf.certificate, made.certificate, 0o644)
        self._due[leaf.name] = pki.inspect(made.certificate).due
        log.info("renewed %s: it lasts until %s", leaf.certificate, _day(pki.inspect(made.certificate)))
        if leaf.name == "admin":
            self._put_in_kubeconfig(made, now)

    def _put_in_kubeconfig(self, admin: pki.Pair, now: datetime) -> None:
        """Where the kubeconfig holds an earlier certificate of the same user. Raises OSError."""
        if not self._admin_conf or not os.path.exists(self._admin_conf):
            return
        try:
            document = json.loads(_read(self._admin_conf))
            user = document["users"][0]["user"]
            present = b64decode(user["client-certificate-data"])
            found, ours = pki.inspect(present), pki.inspect(admin.certificate)
        except (ValueError, KeyError, IndexError, TypeError):
            return  # one that somebody wrote by hand
        if now < found.due or (found.common_name, found.organizations) != (
            ours.common_name,
            ours.organizations,
        ):
            return
        user["client-certificate-data"] = b64encode(admin.certificate).decode()
        user["client-key-data"] = b64encode(admin.key).decode()
        pki.write_file(self._admin_conf, json.dumps(document, indent=2).encode() + b"\n", 0o600)
        log.info("renewed the certificate in %s; copies of it elsewhere have the old one", self._admin_conf)

    # Taking up.

    def take_up(self) -> None:
        """Load what changed. On the loop: no handshake may find half of it."""
        for followed, before in self._followed.items():
            now = _stamps(followed)
            if now == before:
                continue
            try:
                pair = pki.Pair(_read(followed.leaf.certificate), _read(followed.leaf.key))
                if not pki.belongs(pair.certificate, pair.key):
                    continue  # somebody is writing them: the next look finds both
                for authority in followed.authorities:
                    followed.context.load_verify_locations(authority)
                load_pair(followed.context, pair.certificate, pair.key)
            except (OSError, ValueError) as error:
                log.warning("cannot take up %s: %s", followed.leaf.certificate, error)
                continue
            self._followed[followed] = now
            log.info("took up %s", followed.leaf.certificate)

    # Telling.

    def _expiries(self) -> Iterator[tuple[str, datetime]]:
        """Of everything beside the CA that is a certificate, and of what is configured elsewhere."""
        folder = os.path.dirname(self._ca[0])
        paths = {*self._authorities, *(leaf.certificate for leaf in self._leaves)}
        paths |= {os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".crt")}
        for path in sorted(paths):
            try:
                ends = pki.inspect(_read(path)).not_after
            except (OSError, ValueError):
                continue
            yield os.path.basename(path).removesuffix(".crt"), ends

    def warnings(self) -> list[tuple[str, str]]:
        """(reason, message) of what a person must do."""
        now, found = self._clock(), []
        for path in self._authorities:
            name = os.path.basename(path).removesuffix(".crt")
            ends = self._ends.get(name)
            if ends is not None and ends - now < AHEAD:
                what = "ended" if ends < now else "ends"
                message = (
                    f"the certificate authority {path} {what} on {ends:%Y-%m-%d}: make a new one with"
                    " the playbook navarch.cluster.rotate_certificates -e navarch_new_ca=true"
                )
                found.append(("CertificateAuthorityExpiring", message))
        for leaf in self._leaves:
            if why := self._failed.get(leaf.name):
                ends = self._ends.get(os.path.basename(leaf.certificate).removesuffix(".crt"))
                when = f", which ends on {ends:%Y-%m-%d}," if ends is not None else ""
                found.append(("CertificateNotRenewed", f"{leaf.certificate}{when} is not renewed: {why}"))
        return found

    def collect(self) -> Iterator[Any]:
        """The collector interface of prometheus-client."""
        from prometheus_client.core import GaugeMetricFamily

        gauge = GaugeMetricFamily(
            "navarch_certificate_expiration_timestamp_seconds",
            "When a certificate on the master's machine ends.",
            labels=["certificate"],
        )
        for name, ends in self._ends.items():
            gauge.add_metric([name], ends.timestamp())
        yield gauge

    async def run(self, client: Client) -> None:
        """Until cancelled."""
        events = EventRecorder(client, "navarch-master")
        async with asyncio.TaskGroup() as group:
            group.create_task(events.run(), name="certificate events")
            while True:
                await asyncio.to_thread(self.settle)
                self.take_up()
                for reason, message in self.warnings():
                    if self._first_warning(message):
                        log.warning("%s", message)
                        events.record(await _about(client), "Warning", reason, message)
                await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Seconds until the next certificate is due, if that is before the next look at the files."""
        now, wait = self._clock(), self._look_every
        for leaf in self._leaves:
            if leaf.name not in self._failed and (due := self._due.get(leaf.name)) is not None:
                wait = min(wait, (due - now).total_seconds())
        return max(wait, 1.0)

    def _first_warning(self, message: str) -> bool:
        """Whether it is time to tell this, once a day."""
        now = self._clock()
        then = self._warned.get(message)
        if then is not None and now - then < _AGAIN:
            return False
        self._warned[message] = now
        return True


async def _about(client: Client) -> Reference:
    """Events on the cluster's certificates are about the namespace of its own parts."""
    from navarch.api.core.namespace import Namespace
    from navarch.api.machinery.errors import StatusError

    uid = ""
    try:
        uid = (await client.get(Namespace, "kube-system")).metadata.uid or ""
    except StatusError as error:
        log.debug("namespace kube-system: %s", error)
    return Reference("Namespace", "kube-system", uid)


def _stamps(followed: _Followed) -> tuple[object, ...]:
    found: list[object] = []
    for path in (followed.leaf.certificate, followed.leaf.key, *followed.authorities):
        try:
            stat = os.stat(path)
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _day(facts: pki.Facts) -> str:
    return f"{facts.not_after:%Y-%m-%d}"
