# SPDX-License-Identifier: GPL-3.0-or-later
"""Every line of HTTP the master speaks: connections, routing, who may, encoding, discovery, proxying.
`server.ApiServer` is the door.
"""
