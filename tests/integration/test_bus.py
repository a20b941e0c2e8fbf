#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_bus.py DMABROKERD SOURCE-DIR [--write-interface] - the broker on a bus of its own.

The real daemon with the simulated backend, the real dbus-daemon with the policy that is installed,
busctl as the caller, and buffers that are asked for over the broker's socket. With
--write-interface it stores the interface as the daemon tells it instead of comparing.
"""
import array
import json
import os
import pwd
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

NAME, PATH, INTERFACE = "org.dmabroker1", "/org/dmabroker1", "org.dmabroker1.Manager"
OTHER_UID = 1  # "daemon" on every machine: somebody else than who runs this, if that is root
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>{folder}/policy.conf</include>
</busconfig>
"""
failed = 0


def ok(name, passed, *evidence):
    global failed
    print(("ok " if passed else "not ok ") + name, flush=True)
    if not passed:
        failed += 1
        for item in evidence:
            print(f"    {item}", flush=True)


def until(condition, timeout_s=10):
    """The condition's first true value, or its last."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.05)


class Client:
    """Just enough of the wire to hold buffers."""

    def __init__(self, path, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.serial = 0
        self.call(1, struct.pack("=IIQ32s", 1, 1, 0, name.encode()))

    def call(self, op, body):
        self.serial += 1
        self.socket.send(struct.pack("=IHHII", 16 + len(body), op, 0, self.serial, 0) + body)
        packet, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(253 * 4))
        fds = array.array("i")
        for level, kind, data in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[:len(data) - len(data) % 4])
        _, _, flags, serial, _ = struct.unpack_from("=IHHII", packet)
        if flags != 1 or serial != self.serial:
            raise RuntimeError(f"op {op} was answered {flags} {serial}: {packet[16:]}")
        return packet[16:], list(fds)

    def alloc(self, size_bytes, count, name):
        """Ids and fds of coherent buffers for no particular device."""
        body = struct.pack("=QIIQII64s32s88s56s", size_bytes, count, 1, 0, 0, 0, b"", name.encode(),
                           b"", b"")
        reply, fds = self.call(5, body)
        return list(struct.unpack_from(f"={count}Q", reply, 88)), fds

    def close(self):
        self.socket.close()


class Bus:
    def __init__(self, folder, source):
        self.folder = folder
        self.address = f"unix:path={folder}/bus"
        self.process = None
        with open(f"{source}/systemd/org.dmabroker1.conf", encoding="utf-8") as f:
            policy = f.read()
        me = pwd.getpwuid(os.getuid()).pw_name
        with open(f"{folder}/policy.conf", "w", encoding="utf-8") as f:
            f.write(policy.replace('user="dmabroker"', f'user="{me}"'))
        with open(f"{folder}/bus.conf", "w", encoding="utf-8") as f:
            f.write(BUS_CONFIG.format(folder=folder))

    def start(self):
        if os.path.exists(f"{self.folder}/bus"):
            os.unlink(f"{self.folder}/bus")
        self.process = subprocess.Popen(["dbus-daemon", f"--config-file={self.folder}/bus.conf",
                                         "--nofork", "--nopidfile", "--nosyslog"])
        until(lambda: os.path.exists(f"{self.folder}/bus"))

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def busctl(self, *words, uid=None):
        command = ["timeout", "10", "busctl", f"--address={self.address}", "--json=short", *words]
        if uid is not None:
            command = ["setpriv", "--reuid", str(uid), "--clear-groups", *command]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def call(self, method, *words, uid=None):
        done = self.busctl("call", NAME, PATH, INTERFACE, method, *words, uid=uid)
        if done.returncode:
            raise RuntimeError(f"{method}: {done.stderr.strip()}")
        return json.loads(done.stdout)["data"]

    def entries(self, method, uid=None):
        """All pages of a list, as plain dictionaries, and how many pages there were."""
        entries, cursor, pages = [], 0, 0
        while True:
            page, cursor = self.call(method, "t", str(cursor), uid=uid)
            entries += [plain(entry) for entry in page]
            pages += 1
            if not cursor:
                return entries, pages

    def has_name(self):
        done = self.busctl("call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "NameHasOwner", "s", NAME)
        return done.returncode == 0 and json.loads(done.stdout)["data"] == [True]


def plain(entry):
    return {key: ([plain(item) for item in value["data"]] if value["type"] == "aa{sv}"
                  else value["data"]) for key, value in entry.items()}


class Daemon:
    def __init__(self, program, folder, bus):
        self.socket = f"{folder}/broker.sock"
        self.log = f"{folder}/log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [program, "--backend", "sim", "--socket", self.socket, "--bus", bus],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: os.path.exists(self.socket) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError("the daemon ended: " + self.said(""))

    def said(self, pattern):
        with open(self.log, encoding="utf-8") as log:
            return "".join(line for line in log if re.search(pattern, line))

    def cpu_ticks(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            return sum(int(word) for word in stat.read().rsplit(")", 1)[1].split()[11:13])

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def interface_of(bus):
    done = bus.busctl("call", NAME, PATH, "org.freedesktop.DBus.Introspectable", "Introspect")
    node = ElementTree.fromstring(json.loads(done.stdout)["data"][0])
    return next(child for child in node if child.get("name") == INTERFACE)


def canonical(interface):
    return ElementTree.canonicalize(ElementTree.tostring(interface), strip_text=True)


def write_interface(interface, path):
    ElementTree.indent(interface)
    text = ElementTree.tostring(interface, encoding="unicode").rstrip().replace("\n", "\n  ")
    with open(path, "w", encoding="utf-8") as f:
        f.write('<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
                '"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
                "<!-- SPDX-License-Identifier: MIT -->\n"
                "<!-- Written by tests/integration/test_bus.py from what the daemon says. -->\n"
                f"<node>\n  {text}\n</node>\n")


def test_interface(bus, source):
    path = f"{source}/systemd/org.dmabroker1.Manager.xml"
    said = interface_of(bus)
    if "--write-interface" in sys.argv:
        write_interface(said, path)
    stored = ElementTree.parse(path).getroot().find("interface")
    ok("the stored interface is the daemon's", canonical(stored) == canonical(said),
       canonical(said), "run this test with --write-interface")
    methods = {method.get("name") for method in said.findall("method")}
    policy = ElementTree.parse(f"{source}/systemd/org.dmabroker1.conf").getroot()
    allowed = {allow.get("send_member") for allow in policy.iter("allow")
               if allow.get("send_interface") == INTERFACE}
    ok("the policy names every method, and no other", methods == allowed and methods,
       methods, allowed)
    first = policy.find("policy")
    ok("the policy denies first", [child.tag for child in first][:2] == ["deny", "deny"] and
       first.get("context") == "default")


def test_properties(bus, source):
    with open(f"{source}/meson.build", encoding="utf-8") as f:
        version = re.search(r"version: '([^']+)'", f.read()).group(1)
    for name, value in (("Version", version), ("Backend", "sim")):
        done = bus.busctl("get-property", NAME, PATH, INTERFACE, name)
        ok(f"property {name}", done.returncode == 0 and json.loads(done.stdout)["data"] == value,
           done.stdout, done.stderr)


def test_devices(bus):
    devices = [plain(entry) for entry in bus.call("ListDevices")[0]]
    names = [device["name"] for device in devices]
    ok("devices: system and simulated ones", "system" in names and "sim:0" in names, names)
    keys = {"name", "bus", "coherent", "iommu", "streaming_mask_bits", "coherent_mask_bits",
            "max_segment_bytes", "usable", "reason"}
    ok("devices: every key", all(set(device) == keys for device in devices), devices)
    by_name = {device["name"]: device for device in devices}
    ok("devices: a mask is a number of bits",
       1 <= by_name["sim:0"]["streaming_mask_bits"] <= 64, devices)


def test_buffers(bus, daemon):
    ok("no buffer at first", bus.entries("ListBuffers") == ([], 1))
    client = Client(daemon.socket, "the-holder")
    (ident,), (fd,) = client.alloc(10000, 1, "one")
    buffers, _ = bus.entries("ListBuffers")
    ok("a buffer that is held is listed", [buffer["id"] for buffer in buffers] == [ident], buffers)
    want = {"name": "one", "kind": "coherent", "size_bytes": 12288, "owner_uid": os.getuid(),
            "owner_pid": os.getpid(), "attributes": [], "mappings": [],
            "direction": "bidirectional"}
    got = buffers[0] if buffers else {}
    ok("its entry says what it is", want == {key: got.get(key) for key in want}, got)
    ok("its entry has every key", set(got) == set(want) | {
        "id", "effective_kind", "contiguous", "region", "owner_unit", "owned_by", "syncs_done",
        "syncs_saved"}, got)
    clients, _ = bus.entries("ListClients")
    ok("who holds it is listed", [(entry["name"], entry["uid"], entry["pid"], entry["nr_buffers"])
                                  for entry in clients] ==
       [("the-holder", os.getuid(), os.getpid(), 1)], clients)
    os.close(fd)
    client.close()
    ok("a buffer that is not held is not listed",
       until(lambda: bus.entries("ListBuffers")[0] == []), bus.entries("ListBuffers"))
    ok("a client that left is not listed", until(lambda: bus.entries("ListClients")[0] == []))


def test_pages(bus, daemon):
    client = Client(daemon.socket, "many")
    idents, fds = client.alloc(4096, 150, "page")
    buffers, pages = bus.entries("ListBuffers")
    ok("150 buffers come in three pages, each once, in order", pages == 3 and
       [buffer["id"] for buffer in buffers] == idents, pages, len(buffers))
    for fd in fds[::2]:
        os.close(fd)
    ok("pages after every other buffer went", until(lambda: [
        buffer["id"] for buffer in bus.entries("ListBuffers")[0]] == idents[1::2]))
    for fd in fds[1::2]:
        os.close(fd)
    client.close()
    others = [Client(daemon.socket, f"client-{number}") for number in range(10)]
    clients, _ = bus.entries("ListClients")
    ok("ten clients are listed", [entry["name"] for entry in clients] ==
       [f"client-{number}" for number in range(10)], clients)
    for other in others:
        other.close()
    until(lambda: bus.entries("ListBuffers")[0] == [])


def hold_as(uid, path, name):
    """A child of another uid that holds a buffer until its pipe closes: its pid and that pipe."""
    ready_read, ready_write = os.pipe()
    stop_read, stop_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(stop_write)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        client = Client(path, name)
        _keep = client.alloc(4096, 1, name)
        os.write(ready_write, b"1")
        os.read(stop_read, 1)
        os._exit(0)
    os.close(ready_write)
    os.close(stop_read)
    os.read(ready_read, 1)
    os.close(ready_read)
    return pid, stop_write


def test_other_user(bus, daemon):
    mine = Client(daemon.socket, "mine")
    _, fds = mine.alloc(4096, 1, "mine")
    pid, pipe = hold_as(OTHER_UID, daemon.socket, "theirs")
    ok("root sees both buffers", sorted(entry["name"] for entry in bus.entries("ListBuffers")[0]) ==
       ["mine", "theirs"], bus.entries("ListBuffers"))
    for method in ("ListBuffers", "ListClients"):
        seen, _ = bus.entries(method, uid=OTHER_UID)
        ok(f"{method} shows a user what is that user's",
           [entry["name"] for entry in seen] == ["theirs"], seen)
    ok("a user sees all devices", len(bus.call("ListDevices", uid=OTHER_UID)[0]) ==
       len(bus.call("ListDevices")[0]))
    for words, what in (
            (("call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
              "RequestName", "su", NAME, "6"), "take the name"),
            (("call", NAME, PATH, INTERFACE, "NoSuchMethod"), "call what the policy does not name"),
            (("call", NAME, PATH, "org.freedesktop.DBus.Properties", "Set", "ssv", INTERFACE,
              "Backend", "s", "x"), "set a property")):
        done = bus.busctl(*words, uid=OTHER_UID)
        ok(f"a user cannot {what}", done.returncode != 0 and
           ("ccess denied" in done.stderr or "not allowed" in done.stderr), done.stderr)
    os.close(pipe)
    os.waitpid(pid, 0)
    os.close(fds[0])
    mine.close()


def served(daemon):
    try:
        Client(daemon.socket, "ping").close()
        return True
    except (OSError, RuntimeError):
        return False


def test_bus_trouble(bus, daemon):
    before = daemon.cpu_ticks()
    time.sleep(1)
    ok("an idle broker uses no CPU", daemon.cpu_ticks() - before <= 5, daemon.cpu_ticks() - before)

    bus.process.send_signal(signal.SIGSTOP)
    ok("a bus that hangs does not hang the broker", served(daemon) and served(daemon))
    bus.process.send_signal(signal.SIGCONT)
    ok("the bus is used again after it hung", until(lambda: bus.entries("ListBuffers")[0] == []))

    before = len(daemon.said("D-Bus is not there").splitlines())
    bus.stop()
    ok("without a bus clients are served", served(daemon) and daemon.process.poll() is None)
    time.sleep(4)
    complaints = daemon.said("D-Bus is not there").splitlines()[before:]
    ok("that the bus went is said once", len(complaints) == 1, complaints)
    before = daemon.cpu_ticks()
    time.sleep(1)
    ok("a broker without a bus uses no CPU", daemon.cpu_ticks() - before <= 5)
    bus.start()
    ok("the broker comes back to the bus", until(bus.has_name, 20), daemon.said("D-Bus"))


def main():
    program, source = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        bus = Bus(folder, source)
        daemon = Daemon(program, folder, bus.address)
        try:
            ok("without a bus the broker starts", served(daemon))
            bus.start()
            ok("the broker finds a bus that comes later", until(bus.has_name, 20), daemon.said(""))
            test_interface(bus, source)
            test_properties(bus, source)
            test_devices(bus)
            test_buffers(bus, daemon)
            test_pages(bus, daemon)
            if os.getuid() == 0:
                test_other_user(bus, daemon)
            else:
                print("# other users are left out: that needs root")
            test_bus_trouble(bus, daemon)
            ok("the broker ends when told", daemon.stop() == 0, daemon.said(""))
            ok("its name goes with it", until(lambda: not bus.has_name()))
        finally:
            daemon.stop()
            bus.stop()
            if failed:
                print(daemon.said(""))
        done = subprocess.run([program, "--backend", "sim", "--socket", f"{folder}/b.sock",
                               "--bus", "nonsense"], capture_output=True, text=True, timeout=10,
                              check=False)
        ok("an address that cannot be one is refused", done.returncode not in (0, -signal.SIGTERM)
           and "nonsense" in done.stderr, done.returncode, done.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
