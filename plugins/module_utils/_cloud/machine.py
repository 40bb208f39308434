# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of one machine of a cloud: the same for the inventory and for cloud_node, whatever the cloud.

Belongs here: the record, what of it users see, and how a cloud's failures are told. Not here: any cloud.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .._api.errors import ClusterError

Facts = t.Dict[str, t.Any]
_SECRET = re.compile(
    r"(secret|passw|token|credential|private|(^|_)(key|pass|cert)($|_)(?!id|name|file))", re.I
)


class CloudError(ClusterError):
    """A cloud that refuses, fails or cannot be reached. ``code`` is the HTTP status where there is one."""

    def __init__(self, message: str, code: int = 0, reason: str = "", **details: t.Any) -> None:
        super().__init__(message, **details)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Machine:
    """One machine. ``status`` is the cloud's own word, ``details`` what only this cloud has (plain JSON)."""

    provider: str
    instance_name: str
    instance_id: str
    status: str
    running: bool
    project: str | None = None
    region: str | None = None
    zone: str | None = None
    size: str | None = None
    image: str | None = None
    public_ips: list[str] = field(default_factory=list)
    private_ips: list[str] = field(default_factory=list)
    networks: list[Facts] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    instance_tags: list[str] = field(default_factory=list)
    metadata: dict[str, t.Any] = field(default_factory=dict)
    created: str | None = None
    details: Facts = field(default_factory=dict)

    @property
    def address(self) -> str | None:
        """Where it is best reached from anywhere: its first public address, else its first private one."""
        return next(iter([*self.public_ips, *self.private_ips]), None)

    def facts(self) -> Facts:
        """What users see: host variables and return values. None is named as Ansible reserves names."""
        seen = {name: getattr(self, name) for name in self.__dataclass_fields__}
        seen["public_ip"] = next(iter(self.public_ips), None)
        seen["private_ip"] = next(iter(self.private_ips), None)
        return seen


def secret_values(values: t.Any, named: bool = False) -> set[str]:
    """The texts in nested values that stand under names which tell of a secret.

    >>> sorted(secret_values({"region": "x", "auth": {"api_key": "k1"}, "password": "p1"}))
    ['k1', 'p1']
    """
    if isinstance(values, t.Mapping):
        parts = [
            secret_values(value, named or bool(_SECRET.search(str(key)))) for key, value in values.items()
        ]
        return set().union(*parts)
    if isinstance(values, (list, tuple)):
        return set().union(*(secret_values(value, named) for value in values))
    return {str(values)} if named and values not in (None, "", True, False) else set()


def without_secrets(values: t.Any) -> t.Any:
    """Nested values as plain JSON, without what stands under names that tell of a secret."""
    if isinstance(values, t.Mapping):
        return {
            str(key): without_secrets(value) for key, value in values.items() if not _SECRET.search(str(key))
        }
    if isinstance(values, (list, tuple, set)):
        return [without_secrets(value) for value in values]
    return values if values is None or isinstance(values, (bool, int, float, str)) else str(values)
