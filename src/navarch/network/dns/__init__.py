# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's DNS: names of the cluster for the pods of this node, all else from the node's own servers.

`network.services` (what is known of the API) -> `records` (which names that makes) -> `zone` (all names) ->
`answer` (a query's answer, written by `message`) -> `server`; `upstream` asks others; `sockets` and `memory`
outlive us; `service` is the running part.

It listens on one link-local address, 169.254.20.10, which every node has on its loopback device: pods reach
it by their default route, no service proxy stands between, and no packet leaves the node.
"""
