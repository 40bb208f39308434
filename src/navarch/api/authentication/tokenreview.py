# SPDX-License-Identifier: GPL-3.0-or-later
"""TokenReview, TokenRequest and SelfSubjectReview (authentication.k8s.io/v1).

Answered, never stored.
"""

from typing import Annotated

from navarch.api.machinery.errors import FieldError, invalid
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Object, Time
from navarch.api.machinery.scheme import Kind, Rules

_GROUP = "authentication.k8s.io"


class UserInfo(Struct):
    """Who somebody is."""

    username: Annotated[str | None, wire(1, "Name of the user.")] = field("username", None)
    uid: Annotated[str | None, wire(2, "Tells users of the same name apart over time.")] = field("uid", None)
    groups: Annotated[list[str] | None, wire(3, "Groups the user is in.", list_type="atomic")] = field(
        "groups", None
    )
    extra: Annotated[dict[str, list[str]] | None, wire(4, "What else the authenticator knows.")] = field(
        "extra", None
    )


class TokenReviewSpec(Struct):
    """The token in question."""

    token: Annotated[str | None, wire(1, "The bearer token.")] = field("token", None)
    audiences: Annotated[
        list[str] | None,
        wire(2, "For whom the token should be; the API server when empty.", list_type="atomic"),
    ] = field("audiences", None)


class TokenReviewStatus(Struct):
    """Whose token it is."""

    authenticated: Annotated[bool | None, wire(1, "Whether the token is somebody's.")] = field(
        "authenticated", None
    )
    user: Annotated[UserInfo | None, wire(2, "Whose it is.")] = field("user", None)
    error: Annotated[str | None, wire(3, "Why the token could not be checked.")] = field("error", None)
    audiences: Annotated[
        list[str] | None, wire(4, "Audiences of the question that the token is for.", list_type="atomic")
    ] = field("audiences", None)


class TokenReview(Object):
    """Asks whose a token is."""

    spec: Annotated[TokenReviewSpec, wire(2, "The token in question.", required=True)] = field(
        "spec", TokenReviewSpec()
    )
    status: Annotated[TokenReviewStatus | None, wire(3, "Whose it is.")] = field("status", None)


class BoundObjectReference(Struct):
    """The object that a token lives as long as."""

    kind: Annotated[str | None, wire(1, "Pod, Secret or Node.")] = field("kind", None)
    api_version: Annotated[str | None, wire(2, "API version of the object.")] = field("apiVersion", None)
    name: Annotated[str | None, wire(3, "Name of the object.")] = field("name", None)
    uid: Annotated[str | None, wire(4, "UID of the object.")] = field("uid", None)


class TokenRequestSpec(Struct):
    """What the token should be."""

    audiences: Annotated[
        list[str] | None,
        wire(1, "For whom the token is; the API server when empty.", list_type="atomic", required=True),
    ] = field("audiences", None)
    expiration_seconds: Annotated[
        int | None,
        wire(
            4,
            "Seconds the token should be good for; the answer says the real time.",
            format="int64",
            optional=True,
        ),
    ] = field("expirationSeconds", None)
    bound_object_ref: Annotated[
        BoundObjectReference | None, wire(3, "Object without which the token is void.")
    ] = field("boundObjectRef", None)
    attestations: Annotated[
        dict[str, list[str]] | None, wire(0, "What the asker vouches for, for authenticators that want it.")
    ] = field("attestations", None)


class TokenRequestStatus(Struct):
    """The token."""

    token: Annotated[str, wire(1, "The bearer token.", required=True)] = needed("token", "")
    expiration_timestamp: Annotated[
        Time | None, wire(2, "When the token ends.", format="date-time", required=True)
    ] = field("expirationTimestamp", None)


class TokenRequest(Object):
    """Asks for a token of a service account; posted to serviceaccounts/token."""

    spec: Annotated[TokenRequestSpec, wire(2, "What the token should be.", required=True)] = field(
        "spec", TokenRequestSpec()
    )
    status: Annotated[TokenRequestStatus | None, wire(3, "The token.")] = field("status", None)


class SelfSubjectReviewStatus(Struct):
    """The requesting user."""

    user_info: Annotated[UserInfo | None, wire(1, "The requesting user.")] = field("userInfo", None)


class SelfSubjectReview(Object):
    """Asks who oneself is (`kubectl auth whoami`)."""

    status: Annotated[SelfSubjectReviewStatus | None, wire(2, "The requesting user.")] = field("status", None)


class TokenRequestRules(Rules[TokenRequest]):
    def validate(self, obj: TokenRequest) -> list[FieldError]:
        seconds = obj.spec.expiration_seconds
        if seconds is not None and seconds < 600:
            return [
                invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            ]
        if seconds is not None and seconds > 1 << 32:
            return [
                invalid(
                    "spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
                )
            ]
        return []


TOKEN_REVIEW = Kind(
    TokenReview, group=_GROUP, resource="tokenreviews", namespaced=False, verbs=("create",), stored=False
)
#: Only a subresource of service accounts speaks this kind: as a resource it has no verbs.
TOKEN_REQUEST = Kind(
    TokenRequest,
    group=_GROUP,
    resource="tokenrequests",
    verbs=(),
    rules=TokenRequestRules(),
    stored=False,
)
SELF_SUBJECT_REVIEW = Kind(
    SelfSubjectReview,
    group=_GROUP,
    resource="selfsubjectreviews",
    namespaced=False,
    verbs=("create",),
    stored=False,
)
