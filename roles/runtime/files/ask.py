# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a question by HTTP on a host, with what every Python has. The roles run this by ``raw``: a module of
Ansible costs a host many times as much, and each time that it asks again.

    ask.py unix:/var/run/docker.sock:/info
    ask.py https://127.0.0.1:6443/readyz ca=FILE cert=FILE key=FILE accept=TYPE until=PATTERN seconds=10

Prints the status, 0 when nobody answers, and then what was answered or why not. With until it asks again
until that matches what it would print, or the seconds are over.

All that is between two marks: what ``raw`` brings back begins with whatever sudo and the login's shell say.
"""

import http.client
import re
import socket
import sys
import time
import urllib.parse

TIMEOUT = 10.0
REST = 0.2


def connection(url, given):
    """(where to ask, what to ask for)"""
    if url.startswith("unix:"):
        path, target = url.split(":")[1:]
        made = http.client.HTTPConnection("localhost")
        made.sock = socket.socket(socket.AF_UNIX)
        made.sock.settimeout(TIMEOUT)
        made.sock.connect(path)
        return made, target
    import ssl  # which takes time to load

    trust = ssl.create_default_context(cafile=given["ca"])
    trust.load_cert_chain(given["cert"], given["key"])
    parts = urllib.parse.urlsplit(url)
    target = urllib.parse.urlunsplit(("", "", *parts[2:4], ""))
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT, context=trust), target


def answer(url, given):
    try:
        made, target = connection(url, given)
        made.request("GET", target, headers={"Accept": given.get("accept", "*/*"), "Connection": "close"})
        found = made.getresponse()
        return f"{found.status}\n{found.read().decode()}"
    except (OSError, http.client.HTTPException) as problem:
        return f"0\n{problem}"


def main():
    url, given = sys.argv[1], dict(word.split("=", 1) for word in sys.argv[2:])
    end = time.monotonic() + float(given.get("seconds", 0))
    while True:
        told = answer(url, given)
        if time.monotonic() >= end or re.search(given.get("until", ""), told):
            break
        time.sleep(REST)
    print(f"<navarch>\n{told}\n</navarch>")


main()
