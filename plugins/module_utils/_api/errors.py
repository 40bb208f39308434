# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can go wrong between a task and a cluster, each as one line for a person.

Belongs here: the exceptions that the runner turns into a failed task. Not here: anything that talks HTTP.
"""

from __future__ import annotations

import re
import typing as t


class ClusterError(Exception):
    """A failure that is told to the user as it is. The message is one line."""

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(" ".join(str(message).split()))
        self.details = details


class OptionError(ClusterError):
    """The task's own options are wrong: the message begins with the option's name."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__("%s: %s" % (option, message))


class UnreachableError(ClusterError):
    """Nobody answers at the cluster's address."""


class MaybeDone(UnreachableError):
    """The connection broke after a write was sent: whether it was done is not known."""


class TrustError(ClusterError):
    """Somebody answers, but TLS says it is not the cluster, or the cluster refuses our certificate."""


class WaitError(ClusterError):
    """What was waited for has failed, or did not come in time."""


class StatusError(ClusterError):
    """The API's own answer (a Kubernetes Status), by its code and reason."""

    def __init__(self, code: int, reason: str, message: str, said: str = "") -> None:
        super().__init__(message, code=code, reason=reason)
        self.code = code
        self.reason = reason
        self.said = said


#: How an authorizer says no (the API reference). Admission answers 403 too.
_PERMISSION = re.compile(r'\bUser ".*" cannot |^(Forbidden|no message)$')
_NO_API = "could not find the requested resource"


def status_error(code: int, body: t.Any, verb: str, path: str) -> StatusError:
    """The exception for an answer of 400 and above. ``body`` is the decoded answer, a Status where the API
    sent it.
    """
    status = body if isinstance(body, dict) and body.get("kind") == "Status" else {}
    reason = str(status.get("reason") or "")
    details = status.get("details") if isinstance(status.get("details"), dict) else {}
    said = str(status.get("message") or (body if isinstance(body, str) else "") or "no message").strip()[
        :1000
    ]
    where = "%s %s" % (verb, path)
    if code == 404 and _NO_API in said:
        reason = ""  # as plain as the answer of a server that knows nothing of the path
    if code == 401:
        message = (
            "the cluster does not know these credentials (401 Unauthorized): "
            "check api_key, client_cert and client_key, or the user in kubeconfig"
        )
    elif code == 403 and not _PERMISSION.search(said):  # a namespace that is going, one that is protected
        message = "the cluster refuses this (403 Forbidden): %s" % said
    elif code == 403:
        message = "these credentials may not do this (403 Forbidden): %s" % said
    elif code == 404 and not reason:
        message = "the cluster has no such API (404 at %s)" % where
    elif code == 422:
        message = _invalid(said, details or {})
    elif code == 409:
        message = "conflict (409 %s): %s" % (reason or "Conflict", said)
    elif code == 400:
        message = "the cluster refuses the request (400 %s): %s" % (reason or "BadRequest", said)
    elif code == 404:
        missing = (details or {}).get("kind") == "namespaces"
        message = "%s: %s" % ("namespace" if missing else "not found", said)
    else:
        message = "the cluster answered %d %s at %s: %s" % (code, reason, where, said)
    return StatusError(code, reason, message, said)


def _invalid(said: str, details: dict[str, t.Any]) -> str:
    causes = [c for c in details.get("causes") or [] if isinstance(c, dict)]
    if not causes:
        return "invalid (422): %s" % said
    parts = []
    for cause in causes:
        part = "%s: %s" % (
            option_path(str(cause.get("field") or "")),
            cause.get("message") or cause.get("reason"),
        )
        if part not in parts:
            parts.append(part)
    return "invalid (422): " + "; ".join(parts)


#: Fields of the API whose options have other, shorter names.
_SHORTER = (
    (re.compile(r"\bterminationGracePeriodSeconds\b"), "terminationGracePeriod"),
    (re.compile(r"\bnodeAffinity\b"), "node"),
    (re.compile(r"\bpodAffinity\b"), "pod"),
    (re.compile(r"\bpodAntiAffinity\b"), "podAnti"),
    (re.compile(r"\brequiredDuringSchedulingIgnoredDuringExecution(\.nodeSelectorTerms)?\b"), "required"),
    (re.compile(r"\bpreferredDuringSchedulingIgnoredDuringExecution\b"), "preferred"),
    (re.compile(r"(?<=\.)(preference|podAffinityTerm)\b"), "term"),
    (re.compile(r"\b(configMap|secret)KeyRef\b"), r"\1Key"),
    (re.compile(r"\bfieldRef(\.fieldPath)?\b"), "field"),
    (re.compile(r"(?<=\.secret\.)secretName\b"), "name"),
)


def option_path(field: str) -> str:
    """The module option behind a field of the API.

    >>> option_path("spec.template.spec.containers[0].imagePullPolicy")
    'template.containers[0].image_pull_policy'
    """
    path = re.sub(r"^spec\.template\.(spec|metadata)\.", "template.", field)
    path = re.sub(r"^(spec|metadata)\.", "", path)
    plain = re.split(r"(\[[^\]]*\])", path)  # keys in brackets are the user's own words
    for index in range(0, len(plain), 2):
        for wire, option in _SHORTER:
            plain[index] = wire.sub(option, plain[index])
        plain[index] = re.sub(r"(?<=[a-z0-9])([A-Z]+)", lambda m: "_" + m.group(1), plain[index]).lower()
    return "".join(plain)
