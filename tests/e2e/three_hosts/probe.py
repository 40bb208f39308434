# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside the network of a pod or a node, by the runtime's Python; standard library only, but for `dns`.

`serve NAME` answers TCP and UDP on port 7000 with the address it sees and NAME, and remembers who sent which
ICMP echo (asked for by UDP: `icmp NUMBER`), until its input ends. The others print JSON:
`ask ADDRESS...` for each address what the other side saw, by protocol; "" where nothing came back.
`call PROTOCOL HOST PORT TIMES` what so many new connections were answered: [address seen, name], or why not;
by `hail` the other side only says its name.
`flow ADDRESS SECONDS` asks by UDP every 10 ms: how many were asked, answered, and the longest silence.
`resolve NAME...` the addresses that the system's resolver gives, with its search path.
`dns TYPE/NAME...` what the node's own DNS answers, each question asked once.
`load NAME PORT SECONDS` again and again a lookup by the system's resolver and a new TCP connection to its
answer: how often, the failures, the longest turn.
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
WAIT = 3.0
#: The DNS of every node, for its pods and itself.
DNS = "169.254.20.10"


def serve(name):
    echoes = {}

    def watch():
        while True:
            packet, seen = raw.recvfrom(65536)
            if packet[20] == 8:
                echoes[packet[24:28]] = seen[0]

    def stream():
        while True:
            connection, seen = server.accept()
            with connection:
                connection.settimeout(WAIT)
                try:
                    wanted = struct.unpack("!I", connection.recv(4))[0]
                    while wanted > 0:
                        wanted -= len(connection.recv(65536))
                    connection.sendall(f"{seen[0]} {name}".encode())
                except (OSError, struct.error):
                    pass

    def datagrams():
        while True:
            # A node has several addresses: the answer must come from the one that was asked (ip(7)).
            data, notes, _, seen = sock.recvmsg(2000, 100)
            _, _, asked = struct.unpack("I4s4s", notes[0][2][:12])
            answer = echoes.get(data[5:], "") if data.startswith(b"icmp ") else f"{seen[0]} {name}"
            note = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack("I4s4s", 0, asked, bytes(4)))
            sock.sendmsg([answer.encode()], [note], 0, seen)

    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    server = socket.create_server(("", PORT), backlog=64)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    sock.bind(("", PORT))
    for part in (watch, stream, datagrams):
        threading.Thread(target=part, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def udp(address, question=b"who", port=PORT):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(WAIT)
        sock.connect((address, port))
        sock.send(question)
        return sock.recv(2000).decode()


def tcp(address, size=300000, port=PORT):
    with socket.create_connection((address, port), WAIT) as sock:
        sock.settimeout(WAIT)
        sock.sendall(struct.pack("!I", size) + bytes(size))
        return sock.recv(100).decode()


def witness(address, mark):
    """Whom the other side saw; it may hear of the echo a moment after it was answered."""
    for _ in range(100):
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
                answer = protocol(address).partition(" ")[0]
            except OSError:
                answer = ""
            answers.setdefault(address, {})[protocol.__name__] = answer
    print(json.dumps(answers))


def flow(address, seconds):
    seconds = float(seconds)
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


def hail(host, port):
    with socket.create_connection((host, int(port)), WAIT) as sock:
        sock.settimeout(WAIT)
        if name := sock.recv(100).decode().strip():
            return name
    raise OSError("no name")


def call(protocol, host, port, times):
    answers = []
    ways = {
        "udp": lambda: udp(host, port=int(port)),
        "tcp": lambda: tcp(host, 4, int(port)),
        "hail": lambda: hail(host, port),
    }
    for _ in range(int(times)):
        try:
            answers.append(ways[protocol]().split(" "))
        except OSError as error:
            answers.append([f"{type(error).__name__}: {error}"])
    print(json.dumps(answers))


def resolve(names):
    answers = {}
    for name in names:
        try:
            found = socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)
            answers[name] = sorted({entry[4][0] for entry in found})
        except OSError as error:
            answers[name] = [str(error)]
    print(json.dumps(answers))


def question(name, type="A"):
    import dnslib

    data = dnslib.DNSRecord.question(name, type).send(DNS, 53, timeout=5)
    return [str(record.rdata).rstrip(".") for record in dnslib.DNSRecord.parse(data).rr]


def dns(questions):
    answers = {}
    for text in questions:
        type, _, name = text.partition("/")
        answers[text] = sorted(question(name, type))
    print(json.dumps(answers))


def load(name, port, seconds):
    turns, failures, longest = 0, [], 0.0
    end = time.monotonic() + float(seconds)
    while (begun := time.monotonic()) < end:
        turns += 1
        try:
            tcp(socket.getaddrinfo(name, 80, socket.AF_INET)[0][4][0], 4, int(port))
        except OSError as error:
            after, clock = time.monotonic() - begun, time.strftime("%H:%M:%S")
            failures.append(f"{clock} after {after:.2f} s: {type(error).__name__}: {error}")
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.01)
    print(json.dumps({"turns": turns, "failures": failures, "longest": longest}))


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "ask":
        ask(words)
    elif what == "resolve":
        resolve(words)
    elif what == "dns":
        dns(words)
    else:
        {"serve": serve, "call": call, "flow": flow, "load": load}[what](*words)
