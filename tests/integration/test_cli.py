#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_cli.py DMABROKERCTL DMABROKERD LIBRARY SOURCE-DIR - listings, JSON, exit statuses.

The real program and the real daemon with the simulated backend. That every command says no in the
right way is as much of the interface as that it says yes.
"""
import os
import re
import socket
import subprocess
import sys
import threading

sys.dont_write_bytecode = True  # the source tree stays as it is
from cli_bench import OTHER_UID, equal, main, ok, shape

COMMANDS = ["status", "doctor", "devices", "device bind", "device unbind", "device set-mask",
            "device release", "alloc", "open", "buffers", "buffer show", "clients", "accounts"]
COMMANDS_FIRST = ["status", "doctor", "devices", "device", "alloc", "open", "buffers", "buffer",
                  "clients", "accounts"]
GLOBAL = ["--json", "--socket", "--help"]
NEED_BROKER = [["status"], ["doctor"], ["devices"], ["alloc", "--size", "4K"], ["open", "0" * 32],
               ["buffers"], ["buffer", "show", "1"], ["clients"], ["accounts"]]
BUFFER = {"id": "number", "name": "text", "kind": "text", "effective_kind": "text",
          "attributes": ["text"], "size_bytes": "number", "contiguous": "bool", "region": "text",
          "owner_uid": "number", "owner_unit": "text", "owner_pid": "number", "owned_by": "text",
          "syncs_done": "number", "syncs_saved": "number",
          "mappings": [{"device": "text", "direction": "text", "skip_cpu_sync": "bool",
                        "segments": [{"dma_address": "text", "length_bytes": "number"}]}]}
DEVICE = {"name": "text", "bus": "text", "coherent": "bool", "iommu": "bool",
          "streaming_mask_bits": "number", "coherent_mask_bits": "number",
          "max_segment_bytes": "number", "usable": "bool", "reason": "text"}


def usage(bench, _):
    wrong = [
        [], ["nonsense"], ["--nonsense"], ["--socket"], ["device"], ["device", "nonsense"],
        ["buffer"], ["buffer", "revoke"], ["status", "more"], ["status", "--all"],
        ["status", "--", "ls"], ["devices", "--size", "4K"], ["buffer", "show"],
        ["buffer", "show", "one"], ["buffer", "show", "-1"], ["buffer", "show", "0"],
        ["buffer", "show", "1", "2"], ["buffers", "--nonsense"], ["buffers", "--socket"],
        ["alloc"], ["alloc", "--size"], ["alloc", "--size", "0"], ["alloc", "--size", "8X"],
        ["alloc", "--size", "-8"], ["alloc", "--size", "99999999999999999999"],
        ["alloc", "--size", "4K", "more"], ["alloc", "--size", "4K", "--"],
        ["alloc", "--size", "4K", "--kind", "warm"], ["alloc", "--size", "4K", "--kind", "imported"],
        ["alloc", "--size", "4K", "--attr", "soft"], ["alloc", "--size", "4K", "--direction", "up"],
        ["alloc", "--size", "4K", "--count", "0"], ["alloc", "--size", "4K", "--count", "254"],
        ["alloc", "--size", "4K", "--name", "x" * 32], ["alloc", "--size", "4K", "--name", "\n"],
        ["alloc", "--size", "4K", "--device", ""], ["alloc", "--size", "4K", "--hold", "--", "ls"],
        ["alloc", "--size", "4K"] + ["--device", "sim:0"] * 17,
        ["alloc", "--size", "4K", "--share"], ["alloc", "--size", "4K", "--hold=1"],
        ["alloc", "--size", "4K", "--share", "--quiet", "--hold"],
        ["open"], ["open", "0"], ["open", "g" * 32], ["open", "0" * 32, "0" * 32],
        ["device", "bind"], ["device", "bind", "pci:0"], ["device", "bind", "sim:0"],
        ["device", "bind", "platform:x"], ["device", "bind", "0000:00:03.0", "--mask", "65"],
        ["device", "bind", "0000:00:03.0", "--mask", "0"],
        ["device", "bind", "0000:00:03.0", "--coherent-mask", "x"],
        ["device", "set-mask", "0000:00:03.0"], ["device", "unbind", "0000:00:03.0", "--force"],
    ]
    for words in wrong:
        done = bench.run(*words)
        ok("wrong usage: " + " ".join(words)[:60],
           done.returncode == 2 and not done.stdout and "--help'" in done.stderr,
           done.returncode, done.stdout, done.stderr)
    bench.refused("names the attributes there are", bench.run("alloc", "--attr", "soft"), 2,
                  "force-contiguous, no-kernel-mapping", "skip-cpu-sync")


def help_texts(bench, source):
    texts = {}
    with open(f"{source}/cli/completion/dmabrokerctl.bash", encoding="utf-8") as f:
        texts["bash"] = f.read()
    with open(f"{source}/cli/completion/_dmabrokerctl", encoding="utf-8") as f:
        texts["zsh"] = f.read()
    with open(f"{source}/docs/dmabrokerctl.1.scd", encoding="utf-8") as f:
        texts["man page"] = f.read().replace("\\", "")
    every = bench.run("--help")
    equal("--help", every.returncode, 0)
    for command in COMMANDS:
        done = bench.run(*command.split(), "--help")
        ok(f"--help of {command}", done.returncode == 0 and not done.stderr
           and done.stdout.startswith(f"Usage: dmabrokerctl {command} "), done)
        ok(f"--help names {command}", f"  {command}" in every.stdout, every.stdout)
        options = re.findall(r"^  (--[a-z-]+)", done.stdout, re.M)
        ok(f"{command} has options", {"--json", "--socket", "--help"} <= set(options), options)
        for where, text in texts.items():
            missing = [word for word in options + command.split()
                       if not re.search(r"(?<![\w-])" + re.escape(word) + r"(?![\w-])", text)]
            equal(f"{where} of {command}", missing, [])
    done = bench.run("--version")
    ok("--version", done.returncode == 0
       and re.fullmatch(r"dmabrokerctl \d+\.\d+\.\d+\n", done.stdout), done)
    done = bench.run("device", "--help")
    ok("half a command has help", done.returncode == 0 and "device set-mask" in done.stdout, done)


def no_broker(bench, _):
    nowhere = f"{bench.folder}/nowhere.sock"
    for words in NEED_BROKER:
        name = " ".join(words)[:20]
        bench.refused(f"no broker: {name}", bench.run(*words, "--socket", nowhere), 3, nowhere,
                      "--socket")
    bench.refused("no broker, from the environment",
                  bench.run("status", env={"DMABROKER_SOCKET": nowhere}), 3, nowhere,
                  "DMABROKER_SOCKET")
    if not os.path.exists("/run/dmabroker/dmabroker.sock"):
        bench.refused("no broker, where it belongs", bench.run("status", env={"DMABROKER_SOCKET": ""}),
                      3, "/run/dmabroker/dmabroker.sock", "systemctl status dmabroker.socket",
                      "enable --now")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(nowhere)
    bench.refused("nobody listens", bench.run("status", "--socket", nowhere), 3, nowhere)
    os.unlink(nowhere)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as rude:
        rude.bind(nowhere)
        rude.listen(1)
        thread = threading.Thread(target=lambda: rude.accept()[0].close())
        thread.start()
        bench.refused("it hangs up", bench.run("status", "--socket", nowhere), 3, nowhere)
        thread.join()
    bench.refused("a path that cannot be one", bench.run("status", "--socket", "/" + "x" * 200), 2)


def listings(bench, _):
    state = bench.json("status")
    equal("status", shape(state), {
        "backend": "text", "broker_version": "text", "uptime_ms": "number", "clients": "number",
        "buffers": "number", "mappings": "number", "devices": "number", "charged_bytes": "number",
        "machine_limit_bytes": "number", "requests": "number", "refusals": "number",
        "dropped_peers": "number", "lost_log_messages": "number",
        "account": {"uid": "number", "unit": "text", "charged_bytes": "number",
                    "limit_bytes": state["account"]["limit_bytes"] and "number" or "null",
                    "buffers": "number",
                    "buffers_limit": state["account"]["buffers_limit"] and "number" or "null",
                    "mappings": "number",
                    "mappings_limit": state["account"]["mappings_limit"] and "number" or "null"}})
    equal("status: of me", [state["backend"], state["account"]["uid"]], ["sim", os.geteuid()])
    equal("status: no limit is null", os.geteuid() == 0, state["account"]["limit_bytes"] is None)

    devices = bench.json("devices")
    equal("devices", shape(devices), {"devices": [DEVICE]})
    by_name = {device["name"]: device for device in devices["devices"]}
    equal("devices: those there are", sorted(by_name), ["sim:0", "sim:1", "system"])
    equal("devices: masks", [by_name[f"sim:{i}"]["streaming_mask_bits"] for i in (0, 1)], [28, 64])

    equal("buffers: none", bench.json("buffers"), {"buffers": []})
    process, held = bench.hold("--size", "64K", "--device", "sim:0", "--device", "sim:1",
                               "--attr", "force-contiguous", "--name", "two words")
    listed = bench.json("buffers")
    equal("buffers", shape(listed), {"buffers": [BUFFER]})
    equal("alloc and buffers say the same", listed["buffers"], held)
    buffer = held[0]
    equal("buffer show says the same", bench.json("buffer", "show", str(buffer["id"])), listed)
    equal("buffer: what it is",
          [buffer["name"], buffer["kind"], buffer["size_bytes"], buffer["attributes"],
           buffer["contiguous"], buffer["owner_uid"], buffer["owner_pid"]],
          ["two words", "coherent", 65536, ["force-contiguous"], True, os.geteuid(), process.pid])
    for number, mapping in enumerate(buffer["mappings"]):
        ok(f"mapping {number}", mapping["device"] == f"sim:{number}"
           and all(re.fullmatch("0x[0-9a-f]+", s["dma_address"]) for s in mapping["segments"])
           and sum(s["length_bytes"] for s in mapping["segments"]) == 65536, mapping)
    text = bench.run("buffers").stdout
    ok("buffers as a table", "two words" in text and "64 KiB" in text
       and text.splitlines()[0].split()[:3] == ["ID", "SIZE", "KIND"], text)
    text = bench.run("buffer", "show", str(buffer["id"])).stdout
    ok("buffer show as text", f'buffer {buffer["id"]} "two words": 64 KiB, coherent' in text
       and "sim:1 bidirectional" in text
       and buffer["mappings"][0]["segments"][0]["dma_address"] in text, text)
    text = bench.run("devices").stdout
    ok("devices as a table", re.search(r"^sim:0 .* 28 ", text, re.M), text)

    clients = bench.json("clients")
    equal("clients", shape(clients), {"clients": [
        {"id": "number", "name": "text", "uid": "number", "pid": "number", "unit": "text",
         "buffers": "number", "requests": "number", "connected_ms": "number"}]})
    equal("clients: the one that holds",
          [c["buffers"] for c in clients["clients"] if c["pid"] == process.pid], [1])
    accounts = bench.json("accounts")["accounts"]
    mine = [a for a in accounts if a["uid"] == os.geteuid()]
    equal("accounts: names", sorted(mine[0]), ["buffers", "buffers_limit", "charged_bytes",
                                               "clients", "limit_bytes", "mappings",
                                               "mappings_limit", "uid", "unit"])
    equal("accounts: charged", [(a["charged_bytes"], a["buffers"], a["mappings"]) for a in mine],
          [(65536, 1, 2)])
    for words in (["status"], ["doctor"], ["clients"], ["accounts"]):
        done = bench.run(*words)
        ok(f"{words[0]} as text", done.returncode == 0 and len(done.stdout.splitlines()) >= 2,
           done)
    process.terminate()
    process.wait(20)

    doctor = bench.json("doctor")
    equal("doctor", shape(doctor), {"backend": "text",
                                    "lines": [{"level": "text", "text": "text"}]})
    ok("doctor: levels", {line["level"] for line in doctor["lines"]} <=
       {"fine", "note", "obstacle"}, doctor)


def paged(bench, _):
    process, held = bench.hold("--size", "4K", "--count", "200", "--device", "sim:1")
    listed = bench.json("buffers")["buffers"]
    equal("200 buffers are all listed", sorted(b["id"] for b in listed),
          sorted(b["id"] for b in held))
    equal("and are 200", len({b["id"] for b in listed}), 200)
    ok("each with its mapping", all(len(b["mappings"]) == 1 for b in listed), listed[0])
    equal("also in the table", len(bench.run("buffers").stdout.splitlines()), 201)
    process.terminate()
    process.wait(20)


def refusals(bench, _):
    limit = 32 << 20
    bench.refused("quota", bench.run("alloc", "--size", "33M", uid=OTHER_UID), 1, "EDQUOT",
                  "quota-bytes", f"limit {limit}")
    equal("within the quota",
          bench.json("alloc", "--size", "32M", uid=OTHER_UID)["buffers"][0]["size_bytes"], limit)
    bench.refused("no such device", bench.run("alloc", "--size", "4K", "--device", "sim:9"), 1,
                  "ENODEV", "unknown-device", "sim:9")
    bench.refused("no such buffer", bench.run("buffer", "show", "18446744073709551615"), 1,
                  "ENOENT", "unknown-buffer")
    bench.refused("no such token", bench.run("open", "0" * 32), 1, "ENOENT", "unknown-token")
    bench.refused("a mapping without a direction",
                  bench.run("alloc", "--size", "4K", "--device", "sim:0", "--direction", "none"), 1,
                  "EINVAL", "direction-none")
    equal("and nothing is left of it", bench.json("buffers"), {"buffers": []})
    process, held = bench.hold("--size", "4K")
    for words in (["buffers"], ["clients"], ["accounts"]):
        if os.geteuid() == 0:
            mine = bench.json(*words, "--all")[words[0]]
            ok(f"{words[0]} --all, for root", len(mine) >= 1, mine)
        bench.refused(f"{words[0]} --all, for others", bench.run(*words, "--all", uid=OTHER_UID), 1,
                      "EPERM", "not-administrator")
    if os.geteuid() == 0:
        equal("others do not see it", bench.json("buffers", uid=OTHER_UID), {"buffers": []})
        bench.refused("nor with its id",
                      bench.run("buffer", "show", str(held[0]["id"]), uid=OTHER_UID), 1, "ENOENT",
                      "unknown-buffer")
    process.terminate()
    process.wait(20)
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = bench.run("devices", stdout=full)
        ok("an answer that cannot be written is no answer",
           done.returncode == 1 and "standard output" in done.stderr, done)


def completion(bench, source):
    """What bash would offer, in a bash that has nothing but this completion."""
    process, held = bench.hold("--size", "4K")
    for words, expected in (
            ([""], COMMANDS_FIRST + ["--version"] + GLOBAL), (["dev"], ["devices", "device"]),
            (["device", "b"], ["bind"]), (["device", "bind", "--m"], ["--mask"]),
            (["--json", "--socket", "x", "devi"], ["devices", "device"]),
            (["alloc", "--kind", ""], ["coherent", "writecombine", "noncoherent"]),
            (["alloc", "--device", "s"], ["system", "sim:0", "sim:1"]),
            (["buffer", "show", ""], [str(held[0]["id"])] + GLOBAL),
            (["open", "0", "--q"], ["--quiet"]), (["alloc", "--", "cat", "--"], [])):
        script = (f"source {source}/cli/completion/dmabrokerctl.bash; PATH={bench.folder}:$PATH; "
                  'COMP_WORDS=(dmabrokerctl "$@"); COMP_CWORD=$#; _dmabrokerctl; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], env=bench.env,
                              capture_output=True, text=True, check=False, timeout=60)
        equal("completes: " + " ".join(words), (done.stdout.split(), done.stderr), (expected, ""))
    process.terminate()
    process.wait(20)


def begin(bench, _):
    bench.start()


main([usage, help_texts, no_broker, begin, listings, paged, refusals, completion])
