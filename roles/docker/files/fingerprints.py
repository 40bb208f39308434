# SPDX-License-Identifier: GPL-3.0-or-later
"""The fingerprints of the primary keys in a file of OpenPGP keys, armored or not: ``fingerprints.py FILE``.

A host that gets a repository's key need not have gpg. Prints one fingerprint a line, as apt would trust each
of these keys. RFC 9580: packets 4.2, armor 6.2, fingerprints of version 4 keys 5.5.4.2. Other versions, and
what is no key at all, end with 1 and a line on stderr.
"""

import base64
import hashlib
import re
import sys

PUBLIC_KEY = 6


def binary(data):
    """The packets: of an armored file what stands in its armor."""
    if not data.startswith(b"-----BEGIN"):
        return data
    blocks = re.findall(
        rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n"
        rb"(?:[^\r\n:]+: [^\r\n]*\r?\n)*\s*(.*?)\s*(?:^=[^\r\n]{4}\s*)?-----END",
        data,
        re.S | re.M,
    )
    return b"".join(base64.b64decode(block) for block in blocks)


def packets(data):
    """(type, body) of each packet."""
    at = 0
    while at < len(data):
        head = data[at]
        at += 1
        if not head & 0x80:
            raise ValueError("no OpenPGP packet")
        if head & 0x40:  # the format of today; a length of parts is not for keys
            kind, first = head & 0x3F, data[at]
            width = 1 if first < 192 else 2 if first < 224 else 5
            if first == 255:
                size = int.from_bytes(data[at + 1 : at + 5], "big")
            elif first < 192:
                size = first
            else:
                size = (first - 192) * 256 + data[at + 1] + 192
        else:  # the format of before
            kind, width = head >> 2 & 0xF, (1, 2, 4, 0)[head & 3]
            size = int.from_bytes(data[at : at + width], "big") if width else len(data) - at
        at += width
        yield kind, data[at : at + size]
        at += size


def fingerprints(data):
    found = []
    for kind, body in packets(binary(data)):
        if kind == PUBLIC_KEY:
            if body[0] != 4:
                raise ValueError(f"a key of version {body[0]}")
            found.append(hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper())
    if not found:
        raise ValueError("no public key in it")
    return found


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    try:
        print("\n".join(fingerprints(data)))
    except (ValueError, IndexError) as problem:
        sys.exit(f"{sys.argv[1]}: {problem}")


main()
