# SPDX-License-Identifier: MIT
"""What the tests of dmabrokerctl share: a broker of their own, runs of the program, checks."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

OTHER_UID = 1  # "daemon" on every machine
TIMEOUT_S = 60
failed = 0


def ok(name, passed, *evidence):
    global failed
    print(("ok " if passed else "not ok ") + name, flush=True)
    if not passed:
        failed += 1
        for item in evidence:
            print(f"    {item}", flush=True)


def equal(name, got, expected):
    ok(name, got == expected, f"expected {expected!r}", f"got      {got!r}")


def until(condition, timeout_s=20):
    """The condition's first true value, or its last."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.02)


class Bench:
    def __init__(self, dmabrokerctl, dmabrokerd, library):
        self.folder = tempfile.mkdtemp(prefix="test-cli-")
        os.chmod(self.folder, 0o755)
        self.socket = f"{self.folder}/broker.sock"
        self.dmabrokerd = dmabrokerd
        self.daemon = None
        # A copy, because another user may not reach the build directory.
        self.dmabrokerctl = shutil.copy(dmabrokerctl, f"{self.folder}/dmabrokerctl")
        shutil.copy(library, f"{self.folder}/{os.path.basename(library)}")
        soname = subprocess.run(["objdump", "-p", library], capture_output=True, text=True,
                                check=True).stdout.split("SONAME")[1].split()[0]
        if not os.path.exists(f"{self.folder}/{soname}"):
            os.symlink(os.path.basename(library), f"{self.folder}/{soname}")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("DMABROKER_")}
        self.env["LD_LIBRARY_PATH"] = self.folder
        self.env["DMABROKER_SOCKET"] = self.socket
        # A sanitizer's report must not pass for a refusal, whose status is 1.
        self.env["ASAN_OPTIONS"] = "exitcode=99"
        self.env["UBSAN_OPTIONS"] = "halt_on_error=1:exitcode=99:print_stacktrace=1"
        with open(f"{self.folder}/broker.conf", "w", encoding="utf-8") as f:
            f.write("[limits]\nbytes = 32M\n[sim]\n"
                    "device = 0 bits 28 iommu coherent\ndevice = 1 bits 64 iommu coherent\n")

    def start(self):
        self.daemon = subprocess.Popen(
            [self.dmabrokerd, "--backend", "sim", "--bus", "none", "--socket", self.socket,
             "--config", f"{self.folder}/broker.conf"], stderr=subprocess.DEVNULL)
        if not until(lambda: self.run("status").returncode == 0):
            raise RuntimeError("the broker does not start")

    def stop(self, number=signal.SIGTERM):
        if self.daemon:
            self.daemon.send_signal(number)
            self.daemon.wait(TIMEOUT_S)
            self.daemon = None

    def _how(self, uid, env, fds):
        how = {"env": {**self.env, **(env or {})}, "text": True, "stdin": subprocess.DEVNULL,
               "pass_fds": fds}
        if uid is not None and os.geteuid() == 0:
            how.update(user=uid, group=uid, extra_groups=[])
        return how

    def run(self, *words, uid=None, env=None, fds=(), **more):
        how = self._how(uid, env, fds)
        if "stdout" not in more:
            more.update(stdout=subprocess.PIPE)
        return subprocess.run([self.dmabrokerctl, *words], stderr=subprocess.PIPE, check=False,
                              timeout=TIMEOUT_S, **how, **more)

    def begin(self, *words, uid=None, env=None):
        """In the background, with pipes."""
        return subprocess.Popen([self.dmabrokerctl, *words], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **self._how(uid, env, ()))

    def json(self, *words, **how):
        done = self.run("--json", *words, **how)
        if done.returncode:
            raise RuntimeError(f"{words}: status {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def hold(self, *words, **how):
        """A running "alloc --hold", and what it says it holds."""
        process = self.begin("alloc", "--json", "--hold", *words, **how)
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{words}: {process.communicate()[1]}")
        return process, json.loads(line)["buffers"]

    def finish(self):
        self.stop()
        shutil.rmtree(self.folder)
        print(f"{failed} failed")
        return 1 if failed else 0

    def refused(self, name, done, status, *texts):
        """It ended with this status, gave no answer, and its sentence has these texts in it."""
        ok(name, done.returncode == status and not done.stdout
           and all(text in done.stderr for text in texts)
           and "dmabrokerctl" in done.stderr,
           f"expected {status} and {texts}", f"got {done.returncode}", done.stdout, done.stderr)


def shape(value):
    """A JSON value's types, to compare: {"a": [{"b": "number"}]}."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return {bool: "bool", int: "number", str: "text", type(None): "null"}.get(type(value), "?")


def main(cases, argv=None):
    """argv: DMABROKERCTL DMABROKERD LIBRARY SOURCE-DIR."""
    argv = argv or sys.argv
    bench = Bench(*argv[1:4])
    try:
        for case in cases:
            case(bench, argv[4])
    finally:
        status = bench.finish()
    sys.exit(status)
