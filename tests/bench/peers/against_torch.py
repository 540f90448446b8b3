#!/usr/bin/env python3
"""presize and PyTorch by turns on this machine: images/s of a training step and of inference.

For each network, precision, kind of step and number of threads, both sides are started (peer_presize.c,
side_torch.py), each on the same processors, and take turns: while one computes, the other waits. A round is
a few steps of each side; its rate is their median, its ratio presize's rate over PyTorch's. Printed are the
medians over rounds and the range of the ratio. README.md beside this file says what makes both sides equal.
SPDX-License-Identifier: MIT
"""
import argparse
import ctypes.util
import os
import platform
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH = {"train": 16, "infer": 64}


class Side:
    """A process that runs steps when asked for."""

    def __init__(self, command, cpus, env):
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus))  # inherited by all of its threads
        parameters, self.text = self.answer().split(" ", 1)
        self.parameters = int(parameters)

    def answer(self):
        line = self.process.stdout.readline().strip()
        if not line:
            sys.exit(f"against_torch: ended with status {self.process.wait()}: {' '.join(self.command)}")
        return line

    def round(self, steps):
        print(steps, file=self.process.stdin, flush=True)
        return statistics.median(float(rate) for rate in self.answer().split())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # which ends it, between rounds
        self.process.wait()


def allocator():
    """PyTorch's memory: a library where there is one; otherwise glibc's malloc, told to keep what it has."""
    for name in ("tcmalloc_minimal", "tcmalloc", "jemalloc"):
        library = ctypes.util.find_library(name)
        if library:
            return name, {"LD_PRELOAD": library}
    return "glibc's malloc", {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def has_torch(python):
    try:
        return subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def machine():
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def compare(options, arch, precision, kind, threads, cpus):
    words = [arch, precision, kind, str(options.batch or BATCH[kind]), str(threads)]
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    torch_words = [f"{HERE}/side_torch.py", *words] + ["compile"] * options.compile
    with (Side([options.presize, *words, *options.keys], cpus, env) as own,
          Side([options.python, *torch_words], cpus, env | allocator()[1]) as peer):
        if own.parameters != peer.parameters:
            sys.exit(f"against_torch: two networks: presize trains {own.parameters} numbers, "
                     f"PyTorch {peer.parameters}")
        pairs = [(own.round(options.steps), peer.round(options.steps)) for _ in range(options.rounds)]
    ratios = [a / b for a, b in pairs]
    print(f"| {arch} | {precision} | {kind} | {words[3]} | {threads} "
          f"| {statistics.median(a for a, _ in pairs):.2f} | {statistics.median(b for _, b in pairs):.2f} "
          f"| {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} "
          f"| {own.text}; {peer.text} |", flush=True)


def parsed():
    def words(allowed):
        def split(text):
            for word in text.split(","):
                if allowed and word not in allowed:
                    raise argparse.ArgumentTypeError(f"{word}: expected {', '.join(allowed)}")
            return text.split(",")
        return split

    def number(text):
        if not text.isdigit() or int(text) == 0:
            raise argparse.ArgumentTypeError(f"{text}: expected a number from 1")
        return int(text)

    p = argparse.ArgumentParser(description="presize and PyTorch by turns: images/s", allow_abbrev=False)
    archs = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    p.add_argument("--arch", type=words(archs), default=archs[:3], help="resnet18,resnet34,resnet50")
    p.add_argument("--precision", type=words(["fp32", "bf16"]), default=["fp32"], help="fp32; fp32,bf16")
    p.add_argument("--kind", type=words(list(BATCH)), default=list(BATCH), help="train,infer")
    p.add_argument("--threads", type=lambda text: [number(n) for n in text.split(",")], default=[1, 2],
                   help="1,2")
    p.add_argument("--batch", type=number, help="instead of 16 pictures to train on, 64 to infer")
    p.add_argument("--rounds", type=number, default=7, help="7")
    p.add_argument("--steps", type=number, default=2, help="of each side in a round: 2")
    p.add_argument("--compile", action="store_true", help="tries torch.compile() as well")
    p.add_argument("--python", default=sys.executable, help="a Python that has torch")
    p.add_argument("--presize", default="build/bin/peer_presize", help="build/bin/peer_presize")
    p.add_argument("keys", nargs="*", metavar="exec.KEY=VALUE", help="for presize: exec.conv=onednn")
    return p.parse_args()


def main():
    options = parsed()
    cpus = sorted(os.sched_getaffinity(0))
    if not os.access(options.presize, os.X_OK):
        sys.exit(f"against_torch: no {options.presize}: `make peers` builds it, --presize names another")
    if not has_torch(options.python):
        sys.exit(f"against_torch: {options.python} has no torch: name one that has it "
                 "(make peers PYTHON=..., --python ...); tests/bench/peers/README.md says how to install it")
    if max(options.threads) > len(cpus):
        sys.exit(f"against_torch: {max(options.threads)} threads, but {len(cpus)} processors: "
                 "name fewer by --threads")
    print(f"{machine()}, processors: {len(cpus)}; PyTorch with {allocator()[0]}; 224 px; images/s, "
          f"medians of rounds: {options.rounds}, steps in each: {options.steps}\n")
    print("| network | type | step | batch | threads | presize | PyTorch | ratio | range | what ran |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for precision in options.precision:
        for kind in options.kind:
            for arch in options.arch:
                for threads in options.threads:
                    compare(options, arch, precision, kind, threads, set(cpus[:threads]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
