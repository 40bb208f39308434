# SPDX-License-Identifier: GPL-3.0-or-later
"""What a list, a watch or a deletecollection asks for: which objects, from which version, in which pages."""

from __future__ import annotations

import msgspec

from navarch.api.machinery.selectors import FieldSelector, Selector


class Query(msgspec.Struct, frozen=True, gc=False):
    """A field means what the query parameter of its name means. The default asks for all objects, at once."""

    #: None: of all namespaces.
    namespace: str | None = None
    labels: Selector | None = None
    fields: FieldSelector | None = None
    #: Objects a page; 0: no pages.
    limit: int = 0
    continue_: str = ""
    #: A list is at least as fresh as this. A watch begins here ("" or "0": with the present objects).
    resource_version: str = ""
    #: resourceVersionMatch: "Exact" or "NotOlderThan".
    match: str = ""
    #: Whether a watch begins with the present objects; None leaves that to resource_version. With bookmarks,
    #: True also marks the end of these objects.
    send_initial_events: bool | None = None
    bookmarks: bool = False
    #: Bytes that may wait for a watcher outside of this process. It gets no decoded objects. 0: the watcher
    #: is a part of this process.
    unread: int = 0


ALL = Query()
