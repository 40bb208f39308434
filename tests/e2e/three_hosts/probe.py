# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside the network of a pod or a node, by the host's own Python; standard library only.

`probe.py serve` answers TCP and UDP on port 7000 with the address it sees, and remembers who sent which ICMP
echo (asked for by UDP: `icmp NUMBER`), until its input ends. `probe.py ask ADDRESS...` prints for each
address what the other side saw, by protocol; "" where nothing came back. `probe.py flow ADDRESS SECONDS`
asks by UDP every 10 ms and prints how many were asked, how many answered, and the longest silence.
"""

import json
import os
import select
import socket
import struct
import sys
import threading
import time

PORT = 7000
IP_PKTINFO = 8
WAIT = 1.0


def serve():
    echoes = {}

    def watch():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        while True:
            packet, seen = raw.recvfrom(65536)
            if packet[20] == 8:
                echoes[packet[24:28]] = seen[0]

    def stream():
        server = socket.create_server(("", PORT), backlog=64)
        while True:
            connection, seen = server.accept()
            with connection:
                connection.settimeout(WAIT)
                try:
                    wanted = struct.unpack("!I", connection.recv(4))[0]
                    while wanted > 0:
                        wanted -= len(connection.recv(65536))
                    connection.sendall(seen[0].encode())
                except (OSError, struct.error):
                    pass

    def datagrams():
        while True:
            # A node has several addresses: the answer must come from the one that was asked (ip(7)).
            data, notes, _, seen = sock.recvmsg(2000, 100)
            _, _, asked = struct.unpack("I4s4s", notes[0][2][:12])
            answer = echoes.get(data[5:], "") if data.startswith(b"icmp ") else seen[0]
            note = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack("I4s4s", 0, asked, bytes(4)))
            sock.sendmsg([answer.encode()], [note], 0, seen)

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    sock.bind(("", PORT))
    for part in (watch, stream, datagrams):
        threading.Thread(target=part, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def udp(address, question=b"who"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(WAIT)
        sock.connect((address, PORT))
        sock.send(question)
        return sock.recv(2000).decode()


def tcp(address):
    with socket.create_connection((address, PORT), WAIT) as sock:
        sock.settimeout(WAIT)
        sock.sendall(struct.pack("!I", 300000) + bytes(300000))
        return sock.recv(100).decode()


def witness(address, mark):
    """Whom the other side saw; it may hear of the echo a moment after it was answered."""
    for _ in range(20):
        if seen := udp(address, b"icmp " + mark):
            return seen
        time.sleep(0.02)
    return ""


def icmp(address):
    mark = os.urandom(4)
    body = mark + b"\0" * 32
    total = sum(struct.unpack("!18H", body)) + 0x0800
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.sendto(struct.pack("!BBH", 8, 0, ~total & 0xFFFF) + body, (address, 0))
        end = time.monotonic() + WAIT
        while (left := end - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
            packet, seen = sock.recvfrom(65536)
            if packet[20] == 0 and packet[24:28] == mark and seen[0] == address:
                return witness(address, mark)
    return ""


def ask(addresses):
    answers = {}
    for address in addresses:
        for protocol in (icmp, tcp, udp):
            try:
                answer = protocol(address)
            except OSError:
                answer = ""
            answers.setdefault(address, {})[protocol.__name__] = answer
    print(json.dumps(answers))


def flow(address, seconds):
    asked = answered = 0
    silence, last, end = 0.0, time.monotonic(), time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect((address, PORT))
        while time.monotonic() < end:
            asked += 1
            try:
                sock.send(b"who")
                sock.recv(2000)
                answered += 1
                silence, last = max(silence, time.monotonic() - last), time.monotonic()
            except OSError:
                pass
            time.sleep(0.01)
    print(
        json.dumps({"asked": asked, "answered": answered, "silence": max(silence, time.monotonic() - last)})
    )


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    elif sys.argv[1] == "ask":
        ask(sys.argv[2:])
    else:
        flow(sys.argv[2], float(sys.argv[3]))
