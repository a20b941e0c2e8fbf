#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_cli_device.py DMABROKERCTL DMABROKERD LIBRARY SOURCE-DIR - "device ..." on a folder like /sys.

No kernel answers here: files take what is written and links stay as they are. So these are the
cases that end before the kernel acts, or in which it does not act; the unit test plays the kernel,
and the lanes that boot one have it.
"""
import json
import os
import shutil
import sys

sys.dont_write_bytecode = True  # the source tree stays as it is
from cli_bench import OTHER_UID, equal, main, ok

ADDRESS = "0000:00:03.0"


class Sys:
    def __init__(self, bench):
        self.bench = bench
        self.root = f"{bench.folder}/sys"
        self.conf = f"{bench.folder}/devices.conf"
        self.device = f"{self.root}/bus/pci/devices/{ADDRESS}"
        shutil.rmtree(self.root, ignore_errors=True)
        for path in ("drivers/dmabroker-pci", "drivers/native", f"devices/{ADDRESS}"):
            os.makedirs(f"{self.root}/bus/pci/{path}")
        for name in ("drivers_probe", "drivers/native/unbind", "drivers/dmabroker-pci/unbind"):
            self.put(f"{self.root}/bus/pci/{name}", "")
        for name, text in (("vendor", "0x1234\n"), ("device", "0x11e8\n"),
                           ("driver_override", "(null)\n")):
            self.put(f"{self.device}/{name}", text)

    @staticmethod
    def put(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def get(self, name):
        with open(f"{self.device}/{name}", encoding="utf-8") as f:
            return f.read()

    def driver(self, name):
        os.symlink(f"../../drivers/{name}", f"{self.device}/driver")

    def bound(self, streaming=32, coherent=32, reason=""):
        self.driver("dmabroker-pci")
        os.mkdir(f"{self.device}/dmabroker")
        self.put(f"{self.device}/driver_override", "dmabroker-pci\n")
        for name, text in (("streaming_mask_bits", streaming), ("coherent_mask_bits", coherent),
                           ("account", 7), ("reason", reason)):
            self.put(f"{self.device}/dmabroker/{name}", f"{text}\n")

    def run(self, *words, **how):
        return self.bench.run("device", *words, env={"DMABROKER_SYSFS": self.root,
                                                     "DMABROKER_DEVICES_CONF": self.conf}, **how)


def refusals(bench, _):
    if not os.path.exists(f"/sys/bus/pci/devices/{ADDRESS}") or os.geteuid() != 0:
        bench.refused("not for everybody", bench.run("device", "bind", ADDRESS, uid=OTHER_UID), 1,
                      "root")
    tree = Sys(bench)
    bench.refused("no such device", tree.run("bind", "pci:0000:00:04.0"), 1, "0000:00:04.0",
                  "lspci")
    bench.refused("unbind what is not bound", tree.run("unbind", ADDRESS), 1, "no driver")
    bench.refused("set a mask of what is not bound", tree.run("set-mask", ADDRESS, "--mask", "28"),
                  1, "device bind")
    bench.refused("release what is not bound", tree.run("release", ADDRESS), 1, "device bind")
    tree.driver("native")
    bench.refused("another driver has it", tree.run("bind", f"pci:{ADDRESS}"), 1,
                  "is driven by native", "--force")
    equal("and keeps it", tree.get("driver_override"), "(null)\n")
    bench.refused("--force is heard", tree.run("bind", ADDRESS, "--force"), 1, "would not take it")
    equal("what did not work is taken back", tree.get("driver_override"), "\n")
    tree.put(tree.conf, "[device pci-id:1234:11e8]\nbind = yes\n")
    bench.refused("so is bind = yes", tree.run("bind", ADDRESS), 1, "would not take it")
    tree.put(tree.conf, "[device pci-id:1234:11e8]\nmask-bit = 28\n")
    bench.refused("a configuration that is wrong", tree.run("bind", ADDRESS), 1,
                  f"{tree.conf}:2: there is no key mask-bit")
    shutil.rmtree(f"{tree.root}/bus/pci/drivers/dmabroker-pci")
    os.unlink(tree.conf)
    bench.refused("no module", tree.run("bind", ADDRESS, "--force"), 1, "modprobe dmabroker")


def masks(bench, _):
    tree = Sys(bench)
    tree.bound()
    done = tree.run("set-mask", ADDRESS, "--mask", "28")
    ok("set-mask", done.returncode == 0 and "mask 28 bits, coherent mask 28 bits" in done.stdout,
       done)
    equal("one figure sets both", [tree.get("dmabroker/streaming_mask_bits"),
                                   tree.get("dmabroker/coherent_mask_bits")], ["28", "28"])
    done = tree.run("set-mask", ADDRESS, "--coherent-mask", "30", "--json")
    equal("set-mask as JSON", (done.returncode, json.loads(done.stdout)),
          (0, {"device": f"pci:{ADDRESS}", "streaming_mask_bits": 28, "coherent_mask_bits": 30,
               "usable": True, "reason": ""}))
    tree.put(f"{tree.device}/dmabroker/reason", "a 4-bit mask leaves no room\n")
    done = tree.run("set-mask", ADDRESS, "--mask", "4", "--json")
    ok("a mask that cannot work", done.returncode == 1 and "leaves no room" in done.stderr
       and json.loads(done.stdout)["usable"] is False, done)
    done = tree.run("release", ADDRESS)
    equal("release", (done.returncode, tree.get("dmabroker/account")), (0, "0"))


def bound_already(bench, source):
    tree = Sys(bench)
    tree.bound()
    shutil.copy(f"{source}/systemd/devices.conf", tree.conf)
    done = tree.run("bind", ADDRESS, "--json")
    equal("bind what is bound: the masks of the configuration",
          (done.returncode, json.loads(done.stdout)),
          (0, {"device": f"pci:{ADDRESS}", "streaming_mask_bits": 28, "coherent_mask_bits": 28,
               "usable": True, "reason": ""}))
    done = tree.run("bind", ADDRESS, "--mask", "40")
    ok("bind what is bound: the masks by hand",
       done.returncode == 0 and "was bound already, mask 40 bits, coherent mask 40" in done.stdout,
       done)
    equal("nothing was probed",
          os.path.getsize(f"{tree.root}/bus/pci/drivers_probe"), 0)


main([refusals, masks, bound_already])
