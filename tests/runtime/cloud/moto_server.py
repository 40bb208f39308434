# SPDX-License-Identifier: GPL-3.0-or-later
"""moto's server on a free loopback port, which it prints. Runs in the environment that has moto.

Two things that Amazon does and moto does not are put back here: the namespace of answers ends in a slash,
without which libcloud finds nothing in them; and lists may be counted from nought, as libcloud does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
NAMESPACE = re.compile(rb'xmlns="(http://ec2\.amazonaws\.com/doc/[\d-]+)"')
COUNTED = re.compile(r"(ResourceId|Tag)\.(\d+)")


def _one_more(found: re.Match[str]) -> str:
    return f"{found[1]}.{int(found[2]) + 1}"


def as_amazon(app: App) -> App:
    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun: list[Any] = []
        if "ResourceId.0=" in environ["QUERY_STRING"]:
            environ["QUERY_STRING"] = COUNTED.sub(_one_more, environ["QUERY_STRING"])
        body = b"".join(app(environ, lambda status, headers, *_more: begun.extend((status, headers))))
        body = NAMESPACE.sub(rb'xmlns="\1/"', body)
        status, headers = begun
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return [body]

    return wrapped


server = make_server(
    "127.0.0.1", 0, as_amazon(DomainDispatcherApplication(create_backend_app)), threaded=True
)
print(server.port, flush=True)
server.serve_forever()
