# SPDX-License-Identifier: GPL-3.0-or-later
"""The service proxy: connections to a service's addresses are led to its endpoints by nftables maps.

`network.services` (what is known of the API) -> `model` (which address leads to which endpoints) -> `ruleset`
(what that is in nftables) -> `table` (what differs from what is loaded) -> `service` (the running part).

DNS is elsewhere.
"""
