#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_bus_bad.py DMABROKERD - a bus that does what no bus should do.

The bus is this script: it says what it wants when it wants. Whatever that is, the broker serves
its clients, and what it sends to the bus is bounded by time and by number.
"""
import os
import socket
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import test_bus  # noqa: E402
from test_bus import ok, served  # noqa: E402

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE = range(1, 9)
TYPES = {PATH: "o", INTERFACE: "s", MEMBER: "s", ERROR_NAME: "s", REPLY_SERIAL: "u",
         DESTINATION: "s", SENDER: "s", SIGNATURE: "g"}


def pad(data, to):
    return data + b"\0" * (-len(data) % to)


def text(value):
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


def message(kind, serial, fields, body=b""):
    array = b""
    for code, value in fields.items():
        array = pad(array, 8) + bytes([code, 1, ord(TYPES[code]), 0])
        if TYPES[code] == "u":
            array += struct.pack("<I", value)
        elif TYPES[code] == "g":
            array += bytes([len(value)]) + value.encode() + b"\0"
        else:
            array += text(value)
    head = struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), serial, len(array))
    return pad(head + array, 8) + body


def parse(data):
    """The first message: its kind, serial, fields, body, and what follows it; None if cut."""
    if len(data) < 16:
        return None
    _, kind, _, _, body_bytes, serial, array_bytes = struct.unpack_from("<cBBBIII", data)
    start = 16 + array_bytes + (-array_bytes % 8)
    if len(data) < start + body_bytes:
        return None
    fields, at = {}, 16
    while at < 16 + array_bytes:
        at += -at % 8
        code, what = data[at], chr(data[at + 2])
        at += 4
        if what == "u":
            fields[code] = struct.unpack_from("<I", data, at)[0]
            at += 4
        elif what == "g":
            fields[code] = data[at + 1:at + 1 + data[at]].decode()
            at += data[at] + 2
        else:
            size = struct.unpack_from("<I", data, at)[0]
            fields[code] = data[at + 4:at + 4 + size].decode()
            at += size + 5
    return kind, serial, fields, data[start:start + body_bytes], data[start + body_bytes:]


class BadBus:
    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(4)
        self.listener.settimeout(20)
        self.peer, self.data, self.serial = None, b"", 0

    def accept(self):
        self.hang_up()
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(20)
        self.data = b""

    def hang_up(self):
        if self.peer:
            self.peer.close()
            self.peer = None

    def greet(self):
        """The authentication, up to the first message."""
        said = b""
        while b"BEGIN\r\n" not in said:
            more = self.peer.recv(4096)
            if not more:
                raise RuntimeError(f"the broker hung up after {said}")
            said += more
        said, _, self.data = said.partition(b"BEGIN\r\n")
        self.peer.send((b"DATA\r\n" if b"\r\nDATA\r\n" in said else b"") +
                       b"OK 0123456789abcdef0123456789abcdef\r\n")
        self.fds = b"NEGOTIATE_UNIX_FD" in said

    def receive(self):
        while True:
            parsed = parse(self.data)
            if parsed:
                self.data = parsed[4]
                return parsed[:4]
            more = self.peer.recv(65536)
            if not more:
                raise EOFError
            self.data += more

    def receive_call(self, member):
        while True:
            kind, serial, fields, body = self.receive()
            if kind == CALL and fields.get(MEMBER) == member:
                return serial, body

    def send(self, kind, fields, body=b""):
        self.serial += 1
        self.peer.sendall(message(kind, self.serial, fields, body))
        return self.serial

    def answer(self, serial, signature, body):
        self.send(RETURN, {REPLY_SERIAL: serial, SENDER: "org.freedesktop.DBus",
                           DESTINATION: ":1.1", SIGNATURE: signature}, body)

    def welcome(self):
        self.accept()
        self.greet()
        serial, _ = self.receive_call("Hello")
        self.answer(serial, "s", text(":1.1"))
        serial, _ = self.receive_call("RequestName")
        self.answer(serial, "u", struct.pack("<I", 1))

    def ask(self, member="ListBuffers", signature="t", body=struct.pack("<Q", 0)):
        return self.send(CALL, {PATH: test_bus.PATH, INTERFACE: test_bus.INTERFACE, MEMBER: member,
                                DESTINATION: test_bus.NAME, SENDER: ":1.99",
                                SIGNATURE: signature}, body)

    def reply_to(self, serial):
        while True:
            kind, _, fields, body = self.receive()
            if kind in (RETURN, ERROR) and fields.get(REPLY_SERIAL) == serial:
                return kind, fields, body


def test_silence(bus, daemon):
    """From each step of the greeting on the bus says nothing any more."""
    bus.accept()
    ok("a bus that does not greet", served(daemon))
    bus.hang_up()
    bus.accept()
    bus.greet()
    ok("the broker takes no fd from the bus", not bus.fds)
    bus.receive_call("Hello")
    ok("a bus that does not answer Hello", served(daemon))
    bus.hang_up()
    bus.accept()
    bus.greet()
    serial, _ = bus.receive_call("Hello")
    bus.answer(serial, "s", text(":1.1"))
    bus.receive_call("RequestName")
    ok("a bus that does not answer RequestName", served(daemon))
    bus.hang_up()


def test_name_refused(bus, daemon):
    bus.accept()
    bus.greet()
    serial, _ = bus.receive_call("Hello")
    bus.answer(serial, "s", text(":1.1"))
    serial, _ = bus.receive_call("RequestName")
    bus.answer(serial, "u", struct.pack("<I", 3))
    try:
        while True:
            bus.receive()
    except EOFError:
        ok("a name that another process has: the broker leaves", True)
    ok("and clients are served", served(daemon))


def test_sender_unknown(bus, daemon):
    """The bus passes a call on and does not say who sent it."""
    first = bus.ask()
    bus.receive_call("GetConnectionUnixUser")
    started = time.monotonic()
    ok("while the bus does not say who asks, clients are served", served(daemon))
    kind, fields, _ = bus.reply_to(first)
    waited_s = time.monotonic() - started
    ok("an unknown sender is denied", kind == ERROR and
       fields[ERROR_NAME] == "org.freedesktop.DBus.Error.AccessDenied", fields)
    ok("after the deadline, not before and not much later", 4 < waited_s < 7, waited_s)

    calls = [bus.ask() for _ in range(65)]
    kind, fields, _ = bus.reply_to(calls[-1])
    ok("the 65th call that waits is refused", kind == ERROR and
       fields[ERROR_NAME] == "org.freedesktop.DBus.Error.LimitsExceeded", fields)
    ok("and clients are served", served(daemon))
    bus.data = b""
    for call in calls[:-1]:
        bus.reply_to(call)
    serial = bus.ask()
    question, body = bus.receive_call("GetConnectionUnixUser")
    ok("the bus is asked about the sender", b":1.99" in body, body)
    bus.answer(question, "u", struct.pack("<I", 0))
    kind, fields, _ = bus.reply_to(serial)
    ok("after that calls are answered again", kind == RETURN, fields)


def test_wrong_answers(bus, daemon):
    serial = bus.ask()
    question, _ = bus.receive_call("GetConnectionUnixUser")
    bus.answer(question, "s", text("root"))
    kind, fields, _ = bus.reply_to(serial)
    ok("a uid that is no number shows nothing", kind == ERROR, fields)
    for what, signature, body in (("no cursor", "", b""), ("a cursor in words", "s", text("0"))):
        fields = {PATH: test_bus.PATH, INTERFACE: test_bus.INTERFACE, MEMBER: "ListBuffers",
                  DESTINATION: test_bus.NAME, SENDER: ":1.99"}
        if signature:
            fields[SIGNATURE] = signature
        kind, got, _ = bus.reply_to(bus.send(CALL, fields, body))
        ok(what, kind == ERROR and
           got[ERROR_NAME] == "org.freedesktop.DBus.Error.InvalidArgs", got)
    serial = bus.ask(body=struct.pack("<Q", 2 ** 64 - 1))
    question, _ = bus.receive_call("GetConnectionUnixUser")
    bus.answer(question, "u", struct.pack("<I", 0))
    kind, fields, body = bus.reply_to(serial)
    ok("a cursor past the end is an empty page", kind == RETURN and
       body == struct.pack("<IIQ", 0, 0, 0), fields, body)


def test_end_with_calls(bus, daemon):
    """The connection ends while calls wait."""
    for _ in range(10):
        bus.ask()
    bus.receive_call("GetConnectionUnixUser")
    bus.hang_up()
    bus.welcome()
    ok("a bus that went away with calls under way is taken again", served(daemon))
    bus.peer.sendall(os.urandom(4096))
    try:
        while True:
            bus.receive()
    except (EOFError, ConnectionError):
        ok("the broker leaves a bus that sends garbage", True)
    ok("and clients are served", served(daemon))
    bus.welcome()
    for _ in range(10):
        bus.ask()
    bus.receive_call("GetConnectionUnixUser")


def main():
    with tempfile.TemporaryDirectory() as folder:
        bus = BadBus(f"{folder}/bus")
        daemon = test_bus.Daemon(sys.argv[1], folder, f"unix:path={folder}/bus")
        try:
            test_silence(bus, daemon)
            test_name_refused(bus, daemon)
            bus.welcome()
            test_sender_unknown(bus, daemon)
            test_wrong_answers(bus, daemon)
            test_end_with_calls(bus, daemon)
            ok("the broker lives", daemon.process.poll() is None)
            ok("and ends when told, with calls under way", daemon.stop() == 0, daemon.said(""))
        finally:
            daemon.stop()
            if test_bus.failed:
                print(daemon.said(""))
    return 1 if test_bus.failed else 0


sys.exit(main())
