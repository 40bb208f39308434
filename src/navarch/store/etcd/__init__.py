# SPDX-License-Identifier: GPL-3.0-or-later
"""The replicated store: `store.base.Store` on an etcd v3 cluster that several masters share.

`wire` and `messages` are etcd's protobuf messages, `client` its gRPC calls with failover, `keys` the names in
etcd, `feed` the one watch that serves all subscribers, `store` the protocol.
"""
