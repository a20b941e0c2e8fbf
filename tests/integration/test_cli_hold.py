#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_cli_hold.py DMABROKERCTL DMABROKERD LIBRARY SOURCE-DIR - what "alloc" and "open" hold.

Signals, commands, tokens, and that everything is released however it ends.
"""
import json
import signal
import sys

sys.dont_write_bytecode = True  # the source tree stays as it is
from cli_bench import OTHER_UID, equal, main, ok, until


def nothing_left(bench, name):
    def rest():
        state = bench.json("status")
        return (state["buffers"], state["mappings"], state["account"]["charged_bytes"]) == (0, 0, 0)
    ok(f"{name}: all is released", until(rest), bench.json("status"), bench.json("buffers"))


def end(process):
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def signals(bench, _):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process, held = bench.hold("--size", "64K", "--count", "3", "--device", "sim:0")
        state = bench.json("status")
        equal(f"{number.name}: held", [len(held), state["buffers"], state["mappings"]], [3, 3, 3])
        process.send_signal(number)
        equal(f"{number.name}: ends well", end(process), (0, "", ""))
        nothing_left(bench, number.name)
    process, _ = bench.hold("--size", "64K", "--device", "sim:1")
    process.kill()
    process.communicate()
    nothing_left(bench, "SIGKILL")


def at_once(bench, _):
    done = bench.run("alloc", "--size", "5000", "--device", "sim:0", "--device", "system",
                     "--direction", "to-device", "--json")
    buffer = json.loads(done.stdout)["buffers"][0]
    equal("rounded up to pages", buffer["size_bytes"], 8192)
    equal("never mapped to system",
          [(m["device"], m["direction"]) for m in buffer["mappings"]], [("sim:0", "to-device")])
    nothing_left(bench, "without --hold")
    text = bench.run("alloc", "--size", "8M", "--name", "seen").stdout
    ok("as text", '"seen": 8 MiB, coherent' in text, text)
    equal("--quiet", bench.run("alloc", "--size", "4K", "--quiet").stdout, "")


def command(bench, *script, words=(), **how):
    return bench.run("alloc", "--size", "64K", "--quiet", *words, "--", *script, **how)


def commands(bench, _):
    done = command(bench, "sh", "-c", "stat -L -c %s /proc/self/fd/$DMABROKER_FD; "
                   "ls /proc/self/fd | wc -l; exit 7")
    # 0, 1, 2, the buffer, and what ls lists with.
    equal("inherits one buffer and no more", (done.stdout.split(), done.returncode),
          (["65536", "5"], 7))
    done = command(bench, "sh", "-c", "head -c 5 /dev/fd/$DMABROKER_FD | od -An -tx1; "
                   "echo hello | dd of=/proc/self/fd/$DMABROKER_FD conv=notrunc 2>/dev/null; "
                   "head -c 5 /proc/self/fd/$DMABROKER_FD")
    equal("zero at first, then what was written", done.stdout.split(), ["00"] * 5 + ["hello"])
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        done = command(bench, "sh", "-c", f"kill -{number.name[3:]} $$")
        equal(f"killed by {number.name}", done.returncode, 128 + number)
    equal("a command that is not there", command(bench, "/nonexistent").returncode, 127)
    equal("a command that is none", command(bench, "/etc/passwd").returncode, 126)
    equal("options behind -- are the command's", command(bench, "echo", "--json", "--help").stdout,
          "--json --help\n")
    equal("another -- too", command(bench, "echo", "--", "x").stdout, "-- x\n")
    nothing_left(bench, "commands")

    done = bench.run("alloc", "--size", "4K", "--json", "--device", "sim:0", "--", "echo", "after")
    lines = done.stdout.splitlines()
    equal("says what it got, then runs", (len(lines), lines[-1],
                                          len(json.loads(lines[0])["buffers"])), (2, "after", 1))
    done = bench.run("alloc", "--size", "33M", "--", "echo", "ran", uid=OTHER_UID)
    equal("no buffer, no command", (done.returncode, done.stdout), (1, ""))

    process = bench.begin("alloc", "--size", "64K", "--device", "sim:0", "--quiet", "--", "sh", "-c",
                          "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done")
    process.stdout.readline()
    equal("mapped while it runs", bench.json("status")["mappings"], 1)
    process.terminate()
    equal("SIGTERM is passed on", end(process)[0], 9)
    process = bench.begin("alloc", "--size", "64K", "--quiet", "--", "sh", "-c",
                          "echo up; exec sleep 60")
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    equal("the command has no signal blocked", end(process)[0], 128 + signal.SIGHUP)
    nothing_left(bench, "signals")


def tokens(bench, _):
    process, held = bench.hold("--size", "64K", "--share")
    token = held[0]["token"]
    ok("a token", len(token) == 32, held)
    opened = bench.json("open", token, "--device", "sim:1", uid=OTHER_UID)["buffers"][0]
    equal("open: the same buffer, mapped",
          [opened["id"], opened["owner_pid"], [m["device"] for m in opened["mappings"]]],
          [held[0]["id"], process.pid, ["sim:1"]])
    done = bench.run("open", token, "--quiet", "--", "sh", "-c",
                     "echo hello | dd of=/proc/self/fd/$DMABROKER_FD conv=notrunc 2>/dev/null")
    equal("open -- COMMAND writes", done.returncode, 0)
    done = bench.run("open", token.upper(), "--quiet", "--", "sh", "-c",
                     "head -c 5 /proc/self/fd/$DMABROKER_FD")
    equal("open -- COMMAND reads it", done.stdout, "hello")
    process.terminate()
    end(process)
    bench.refused("a token ends with its maker", bench.run("open", token), 1, "unknown-token")

    process, held = bench.hold("--size", "64K", "--share-read-only")
    token = held[0]["token"]
    done = bench.run("open", token, "--quiet", "--", "python3", "-c",
                     "import mmap, os; fd = int(os.environ['DMABROKER_FD']); "
                     "mmap.mmap(fd, 65536, prot=mmap.PROT_READ); print('read'); "
                     "mmap.mmap(fd, 65536, prot=mmap.PROT_READ | mmap.PROT_WRITE); print('write')")
    equal("a read-only token reads and does not write", (done.stdout, done.returncode),
          ("read\n", 1))
    bench.refused("nor does a device", bench.run("open", token, "--device", "sim:0"), 1, "EACCES",
                  "read-only")
    process.terminate()
    end(process)
    nothing_left(bench, "tokens")


def broker_goes(bench, _):
    process, held = bench.hold("--size", "64K", "--device", "sim:0")
    bench.stop(signal.SIGKILL)
    line = process.stderr.readline()
    ok("says that the broker has gone", "the broker has gone" in line, line)
    equal("and holds on", process.poll(), None)
    process.terminate()
    equal("until told", end(process), (0, "", ""))
    process = None
    bench.refused("now there is none", bench.run("alloc", "--size", "4K"), 3, bench.socket)
    bench.start()
    process = bench.begin("alloc", "--size", "64K", "--quiet", "--", "sh", "-c",
                          "echo up; sleep 0.5; stat -L -c %s /proc/self/fd/$DMABROKER_FD; exit 5")
    process.stdout.readline()
    bench.stop()
    status, out, err = end(process)
    equal("a command goes on without it", (status, out, "the broker has gone" in err),
          (5, "65536\n", True))


def begin(bench, _):
    bench.start()


main([begin, signals, at_once, commands, tokens, broker_goes])
