# SPDX-License-Identifier: GPL-3.0-or-later
"""The Event kind (core/v1): something that happened to an object.

How long events are kept is not decided here.
"""

from collections.abc import Callable
from typing import Annotated, Any

from navarch.api.core.reference import ObjectReference
from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import FieldError, invalid
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import MicroTime, Object, Time
from navarch.api.machinery.scheme import Column, Kind, Rules


class EventSource(Struct):
    """Who reports."""

    component: Annotated[str | None, wire(1, "Component that reports.")] = field("component", None)
    host: Annotated[str | None, wire(2, "Node the component runs on.")] = field("host", None)


class EventSeries(Struct):
    """How often an event has come again."""

    count: Annotated[int | None, wire(1, "Occurrences up to the last one.", format="int32")] = field(
        "count", None
    )
    last_observed_time: Annotated[
        MicroTime | None, wire(2, "When it last happened.", format="micro-time")
    ] = field("lastObservedTime", None)


class Event(Object):
    """Something that happened to an object."""

    involved_object: Annotated[
        ObjectReference, wire(2, "The object that the event is about.", required=True)
    ] = field("involvedObject", ObjectReference())
    reason: Annotated[str | None, wire(3, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[str | None, wire(4, "What happened, for people.")] = field("message", None)
    source: Annotated[EventSource | None, wire(5, "Who reports it.")] = field("source", None)
    first_timestamp: Annotated[Time | None, wire(6, "When it first happened.", format="date-time")] = field(
        "firstTimestamp", None
    )
    last_timestamp: Annotated[Time | None, wire(7, "When it last happened.", format="date-time")] = field(
        "lastTimestamp", None
    )
    count: Annotated[int | None, wire(8, "How often it happened.", format="int32")] = field("count", None)
    type: Annotated[str | None, wire(9, "Normal or Warning.")] = field("type", None)
    event_time: Annotated[MicroTime | None, wire(10, "When it happened.", format="micro-time")] = field(
        "eventTime", None
    )
    series: Annotated[EventSeries | None, wire(11, "The series that it belongs to.")] = field("series", None)
    action: Annotated[str | None, wire(12, "What was done or failed.")] = field("action", None)
    related: Annotated[ObjectReference | None, wire(13, "A second object that has to do with it.")] = field(
        "related", None
    )
    reporting_component: Annotated[
        str, wire(14, "Controller that reports it, such as kubernetes.io/kubelet.", required=True)
    ] = needed("reportingComponent", "")
    reporting_instance: Annotated[
        str | None, wire(15, "Instance of the controller, such as its host.", required=True)
    ] = needed("reportingInstance", "")


class EventRules(Rules[Event]):
    def validate(self, obj: Event) -> list[FieldError]:
        about, own = obj.involved_object.namespace or "", obj.metadata.namespace or ""
        if about:
            if about != own:
                return [invalid("involvedObject.namespace", about, "does not match event.namespace")]
        elif own not in ("", "default", "kube-system"):
            return [invalid("involvedObject.namespace", about, "does not match event.namespace")]
        return []


_EMPTY = EventSource()


def _source(obj: Event) -> str:
    return (obj.source or _EMPTY).component or obj.reporting_component


def _cells(obj: Event, now: float) -> list[Any]:
    about, source = obj.involved_object, obj.source or _EMPTY
    first = obj.first_timestamp or obj.event_time
    last = obj.last_timestamp or first
    count = obj.count or 0
    if obj.series is not None:
        last = obj.series.last_observed_time or last
        count = obj.series.count or count
    elif count == 0:
        count = 1
    host = source.host or obj.reporting_instance
    target = f"{about.kind.lower()}/{about.name or ''}" if about.kind else about.name
    return [
        age(last, now),
        obj.type,
        obj.reason,
        target,
        about.field_path or "",
        ", ".join(filter(None, (_source(obj), host))),
        (obj.message or "").strip(),
        age(first, now),
        count,
        obj.metadata.name,
    ]


def _about(name: str) -> Callable[[Event], str]:
    return lambda obj: getattr(obj.involved_object, name) or ""


EVENT = Kind(
    Event,
    resource="events",
    # The reference's --event-ttl.
    ttl=3600.0,
    collected=False,
    short_names=("ev",),
    columns=(
        Column("Last Seen", description="Time since it last happened."),
        Column("Type", description="Normal or Warning."),
        Column("Reason", description="Why, as one word."),
        Column("Object", description="The object that the event is about."),
        Column("Subobject", description="Part of the object that the event is about.", priority=1),
        Column("Source", description="Who reports it.", priority=1),
        Column("Message", description="What happened."),
        Column("First Seen", description="Time since it first happened.", priority=1),
        Column("Count", type="integer", description="How often it happened.", priority=1),
        Column("Name", format="name", description="Name of the event.", priority=1),
    ),
    cells=_cells,
    fields={
        "involvedObject.kind": _about("kind"),
        "involvedObject.namespace": _about("namespace"),
        "involvedObject.name": _about("name"),
        "involvedObject.uid": _about("uid"),
        "involvedObject.apiVersion": _about("api_version"),
        "involvedObject.resourceVersion": _about("resource_version"),
        "involvedObject.fieldPath": _about("field_path"),
        "reason": lambda obj: obj.reason or "",
        "reportingComponent": lambda obj: obj.reporting_component,
        "source": _source,
        "type": lambda obj: obj.type or "",
    },
    rules=EventRules(),
)
