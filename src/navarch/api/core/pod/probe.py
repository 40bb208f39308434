# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes and lifecycle hooks of a container."""

from typing import Annotated

from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import IntOrString


class ExecAction(Struct):
    """A command run inside the container; status 0 is success."""

    command: Annotated[
        list[str] | None, wire(1, "Command and arguments, without a shell.", list_type="atomic")
    ] = field("command", None)


class HTTPHeader(Struct):
    """One header of a request."""

    name: Annotated[str, wire(1, "Name of the header.", required=True)] = needed("name", "")
    value: Annotated[str, wire(2, "Value of the header.", required=True)] = needed("value", "")


class HTTPGetAction(Struct):
    """An HTTP GET; a status from 200 to 399 is success."""

    path: Annotated[str | None, wire(1, "Path to ask for, / when absent.")] = field("path", None)
    port: Annotated[
        IntOrString, wire(2, "Number or name of the port.", format="int-or-string", required=True)
    ] = needed("port", 0)
    host: Annotated[str | None, wire(3, "Host to connect to, the pod's address when absent.")] = field(
        "host", None
    )
    scheme: Annotated[str | None, wire(4, "HTTP or HTTPS, HTTP when absent.")] = field("scheme", None)
    http_headers: Annotated[
        list[HTTPHeader] | None, wire(5, "Headers of the request.", list_type="atomic")
    ] = field("httpHeaders", None)
    protocol: Annotated[str | None, wire(6, "Version of HTTP that the probe speaks.")] = field(
        "protocol", None
    )


class TCPSocketAction(Struct):
    """A TCP connection; being accepted is success."""

    port: Annotated[
        IntOrString, wire(1, "Number or name of the port.", format="int-or-string", required=True)
    ] = needed("port", 0)
    host: Annotated[str | None, wire(2, "Host to connect to, the pod's address when absent.")] = field(
        "host", None
    )


class GRPCAction(Struct):
    """A call of the gRPC health service."""

    port: Annotated[int, wire(1, "Port number of the gRPC server.", format="int32", required=True)] = needed(
        "port", 0
    )
    service: Annotated[str | None, wire(2, "Service name in the health request.", optional=True)] = field(
        "service", None
    )
    mode: Annotated[str | None, wire(3, "How the probe secures its connection.")] = field("mode", None)


class SleepAction(Struct):
    """Waiting."""

    seconds: Annotated[int, wire(1, "How long to wait.", format="int64", required=True)] = needed(
        "seconds", 0
    )


class ProbeHandler(Struct):
    """What a probe does; exactly one is set."""

    exec: Annotated[ExecAction | None, wire(1, "Run a command in the container.")] = field("exec", None)
    http_get: Annotated[HTTPGetAction | None, wire(2, "Send an HTTP request.")] = field("httpGet", None)
    tcp_socket: Annotated[TCPSocketAction | None, wire(3, "Open a TCP connection.")] = field(
        "tcpSocket", None
    )
    grpc: Annotated[GRPCAction | None, wire(4, "Call the gRPC health service.")] = field("grpc", None)


class Probe(ProbeHandler):
    """A regular question to a container and how its answers count."""

    embedded = (1, ProbeHandler)
    initial_delay_seconds: Annotated[
        int | None, wire(2, "Seconds after the container's start before the first try.", format="int32")
    ] = field("initialDelaySeconds", None)
    timeout_seconds: Annotated[
        int | None, wire(3, "Seconds after which a try has failed, 1 when absent.", format="int32")
    ] = field("timeoutSeconds", None)
    period_seconds: Annotated[
        int | None, wire(4, "Seconds between tries, 10 when absent.", format="int32")
    ] = field("periodSeconds", None)
    success_threshold: Annotated[
        int | None, wire(5, "Successes in a row that count as success, 1 when absent.", format="int32")
    ] = field("successThreshold", None)
    failure_threshold: Annotated[
        int | None, wire(6, "Failures in a row that count as failure, 3 when absent.", format="int32")
    ] = field("failureThreshold", None)
    termination_grace_period_seconds: Annotated[
        int | None,
        wire(
            7,
            "Grace period of a container that this probe kills, instead of the pod's.",
            format="int64",
            optional=True,
        ),
    ] = field("terminationGracePeriodSeconds", None)


class LifecycleHandler(Struct):
    """What a hook does; exactly one is set."""

    exec: Annotated[ExecAction | None, wire(1, "Run a command in the container.")] = field("exec", None)
    http_get: Annotated[HTTPGetAction | None, wire(2, "Send an HTTP request.")] = field("httpGet", None)
    tcp_socket: Annotated[
        TCPSocketAction | None, wire(3, "Accepted for compatibility and refused at run time.")
    ] = field("tcpSocket", None)
    sleep: Annotated[SleepAction | None, wire(4, "Wait.")] = field("sleep", None)


class Lifecycle(Struct):
    """Hooks around a container's life."""

    post_start: Annotated[LifecycleHandler | None, wire(1, "Done right after the container is created.")] = (
        field("postStart", None)
    )
    pre_stop: Annotated[
        LifecycleHandler | None,
        wire(2, "Done before the container is stopped for any reason but its own exit."),
    ] = field("preStop", None)
    stop_signal: Annotated[
        str | None, wire(3, "Signal that stops the container, instead of the image's.")
    ] = field("stopSignal", None)
