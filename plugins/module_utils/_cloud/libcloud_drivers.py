# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Any cloud by apache-libcloud: a driver made from options, its nodes as machines, its failures as one line.

Belongs here: what all of libcloud's drivers share. Not here: making and deleting machines
(``cloud_libcloud_writes``).
"""

from __future__ import annotations

import inspect
import typing as t
import warnings
from contextlib import contextmanager
from urllib.parse import urlsplit

from .._api.errors import ClusterError, OptionError
from .machine import CloudError, Machine, secret_values, without_secrets

Options = t.Mapping[str, t.Any]
#: What a driver should be told where libcloud's own choice is of old: Amazon's signatures of version 2.
_DEFAULTS: dict[str, dict[str, t.Any]] = {"ec2": {"signature_version": "4"}}
_OPTIONS = ("key", "secret", "region", "secure", "host", "port")


class Libcloud:
    """One driver of libcloud."""

    def __init__(self, provider: str, options: Options) -> None:
        self.provider = provider.lower().replace("-", "_")
        self._region = options["region"]
        cls = _driver_class(self.provider)
        arguments = _arguments(cls, self.provider, options)
        try:
            with telling(self.provider):
                self.driver = cls(**arguments)
        except CloudError as problem:
            raise _misfit(problem, self.provider, arguments) from None

    def machines(self, arguments: t.Mapping[str, t.Any]) -> list[Machine]:
        """All machines but those that are gone for good."""
        check_arguments(self.driver.list_nodes, arguments, "list_arguments", self.provider)
        with telling(self.provider):
            return [self.machine(node) for node in self.driver.list_nodes(**arguments) if not gone(node)]

    def machine(self, node: t.Any) -> Machine:
        extra = node.extra or {}
        tags, metadata = extra.get("tags"), extra.get("metadata")
        labels = next(
            (found for found in (tags, extra.get("labels"), metadata) if isinstance(found, dict)), {}
        )
        zone = _first(extra, "availability_zone", "availability", "zone", "zone_name", "datacenter")
        state = str(node.state)
        if state == "unknown" and isinstance(extra.get("status"), str):
            state = extra["status"]  # libcloud has no word for what stops or has stopped at EC2
        region = _first(extra, "region", "location") or getattr(self.driver, "region_name", None)
        return Machine(
            provider=self.provider,
            instance_name=str(node.name),
            instance_id=str(node.id),
            status=state,
            running=state == "running",
            region=self._region or (str(getattr(region, "name", region)) if region else None),
            zone=str(getattr(zone, "name", zone)) if zone else None,
            size=_name(node.size) or _first(extra, "instance_type", "size_slug", "flavorId", "plan", "size"),
            image=_name(node.image) or _first(extra, "image_id", "imageId", "image"),
            public_ips=[str(one) for one in dict.fromkeys(node.public_ips or []) if one],
            private_ips=[str(one) for one in dict.fromkeys(node.private_ips or []) if one],
            labels={str(key): str(value) for key, value in labels.items()},
            instance_tags=[str(tag) for tag in tags] if isinstance(tags, (list, tuple)) else [],
            metadata=without_secrets(metadata) if isinstance(metadata, dict) else {},
            created=node.created_at.isoformat() if node.created_at else None,
            details=without_secrets(extra),
        )


def gone(node: t.Any) -> bool:
    """Clouds list a machine for a while after its end."""
    return str(node.state) == "terminated" or (node.extra or {}).get("status") == "shutting-down"


def secrets(options: Options) -> set[str]:
    found = {str(options[name]) for name in ("key", "secret") if options.get(name)}
    return found | secret_values(options.get("arguments") or {})


@contextmanager
def telling(provider: str) -> t.Iterator[None]:
    """Failures of libcloud and of what it stands on, each as one line. Drivers raise plain exceptions too."""
    from libcloud.common import types
    from libcloud.common.exceptions import BaseHTTPError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of drivers about themselves: nothing that the user can change
            yield
    except ClusterError:
        raise
    except types.InvalidCredsError as problem:
        raise CloudError("key, secret: %s does not take them: %s" % (provider, problem.value), 401) from None
    except BaseHTTPError as problem:
        raise CloudError(
            "%s answered %s: %s" % (provider, problem.code, problem.message), problem.code
        ) from None
    except types.MalformedResponseError as problem:
        raise CloudError("the answer of %s cannot be read: %s" % (provider, problem.value)) from None
    except OSError as problem:  # what requests raises, too
        raise CloudError("cannot reach %s: %s" % (provider, _unconnected(problem))) from None
    except NotImplementedError:
        raise CloudError("libcloud cannot do this at %s" % provider) from None
    except Exception as problem:
        said = str(getattr(problem, "value", problem)) or type(problem).__name__
        raise CloudError("%s: %s" % (provider, said[:500])) from None


def check_arguments(function: t.Any, given: t.Iterable[str], option: str, provider: str) -> None:
    """Whether the function takes arguments of these names, as far as it tells."""
    taken = inspect.signature(function).parameters
    if any(one.kind is one.VAR_KEYWORD for one in taken.values()):
        return
    names = [name for name, one in taken.items() if name != "self" and one.kind is not one.VAR_POSITIONAL]
    for name in given:
        if name not in names:
            raise OptionError(
                "%s.%s" % (option, name), "%s takes only %s" % (provider, ", ".join(names) or "none")
            )


def _misfit(problem: CloudError, provider: str, arguments: t.Iterable[str]) -> ClusterError:
    """What a constructor said, with the option that it is about where that can be told."""
    said = str(problem)
    if "region" in said.lower():
        return OptionError("region", said)
    if "argument" in said:
        return OptionError(
            "arguments", "%s does not take %s together" % (provider, ", ".join(sorted(arguments)))
        )
    return problem


def _driver_class(provider: str) -> t.Any:
    try:
        from libcloud.compute.providers import DRIVERS, get_driver
    except ImportError:
        raise OptionError(
            "provider", "%s needs apache-libcloud on this host: pip install apache-libcloud" % provider
        ) from None
    if provider not in DRIVERS:
        raise OptionError(
            "provider", "libcloud knows no %s; it knows %s" % (provider, ", ".join(sorted(DRIVERS)))
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return get_driver(provider)
    except ImportError as problem:
        raise OptionError("provider", "%s: %s" % (provider, problem)) from None


def _arguments(cls: t.Any, provider: str, options: Options) -> dict[str, t.Any]:
    """What the driver's constructor is called with."""
    given = dict(_DEFAULTS.get(provider, {}), **options["arguments"])
    for name in _OPTIONS:
        if options[name] is not None:
            if name in given:
                raise OptionError(
                    "arguments.%s" % name, "is there as an option of its own too: give one of them"
                )
            given[name] = options[name]
    if options["url"]:
        given.update(_address(options["url"]))
    for name in given:
        if name in _OPTIONS:
            _check_option(cls, name, provider)
    check_arguments(cls.__init__, given, "arguments", provider)
    for one in inspect.signature(cls.__init__).parameters.values():
        needed = one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
        if needed and one.name not in ("self", *given):
            option = one.name if one.name in _OPTIONS else "arguments.%s" % one.name
            raise OptionError(option, "is needed for provider %s" % provider)
    return given


def _address(url: str) -> dict[str, t.Any]:
    """What an address stands for. urlsplit raises for brackets at once, for a port when asked for it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port == 0 or parts.scheme not in ("http", "https") or parts.path.strip("/"):
        raise OptionError("url", "must be like https://cloud.example.org:8774, without a path")
    secure = parts.scheme == "https"
    return {"secure": secure, "host": host, "port": port or (443 if secure else 80)}


def _check_option(cls: t.Any, name: str, provider: str) -> None:
    try:
        check_arguments(cls.__init__, [name], "arguments", provider)
    except OptionError as problem:
        raise OptionError(name, str(problem).partition(": ")[2]) from None


def _unconnected(problem: OSError) -> str:
    said = str(problem)
    for sign, words in (
        ("refused", "connection refused"),
        ("resolve", "no such host"),
        ("timed out", "no answer"),
    ):
        if sign in said:
            return words
    return type(problem).__name__


def _name(thing: t.Any) -> str | None:
    found = getattr(thing, "id", None) or getattr(thing, "name", None)
    return str(found) if found else None


def _first(extra: t.Mapping[str, t.Any], *names: str) -> t.Any:
    return next(
        (extra[name] for name in names if extra.get(name) and not isinstance(extra[name], (dict, list))), None
    )
