# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, authentication and authorization, for the API server and for admission.

Imports only `navarch.api`. It reads the cluster through protocols, which the registry implements.
"""
