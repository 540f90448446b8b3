"""relay.py - a link with a delay between two network namespaces: each gets a TUN device, this process carries packets.

    relay.py SECONDS NAMESPACE=ADDRESS/BITS NAMESPACE=ADDRESS/BITS

The device is named tun0. A packet is handed over SECONDS after it came, in order; nothing is lost.
SPDX-License-Identifier: MIT"""
import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
CLONE_NEWNET = 0x40000000


def device(namespace, address):
    """An open TUN device in NAMESPACE: a device belongs to the namespace of the thread that made it."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.open("/run/netns/" + namespace, os.O_RDONLY)
    if libc.setns(place, CLONE_NEWNET) != 0:
        sys.exit(f"{namespace}: {os.strerror(ctypes.get_errno())}")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "addr", "add", address, "dev", "tun0"], check=True)
    subprocess.run(["ip", "link", "set", "tun0", "up", "mtu", "60000", "txqueuelen", "10000"], check=True)
    return tun


def main():
    delay = float(sys.argv[1])
    ends = [device(*word.split("=")) for word in sys.argv[2:4]]
    queue = collections.deque()  # (when, to, packet), in the order of WHEN
    print("ready", flush=True)
    while True:
        left = queue[0][0] - time.monotonic() if queue else None
        ready, _, _ = select.select(ends, [], [], None if left is None else max(left, 0))
        now = time.monotonic()
        for end in ready:
            other = ends[1 - ends.index(end)]
            try:
                while True:
                    queue.append((now + delay, other, os.read(end, 65536)))
            except BlockingIOError:
                pass
        while queue and queue[0][0] <= time.monotonic():
            _, other, packet = queue.popleft()
            os.write(other, packet)


main()
