"""link.py - what a link between two network namespaces carries, by TCP: prints "MICROSECONDS,GBITS" (train --link).

    link.py NAMESPACE NAMESPACE ADDRESS

ADDRESS is the second one's. Half of a small message's round trip, and bytes both ways at once; medians.
SPDX-License-Identifier: MIT"""
import socket
import statistics
import subprocess
import sys
import threading
import time

PORT, MESSAGE, BYTES, TRIPS, LOADS = 7917, 64, 32 << 20, 200, 5


def receive(link, n):
    while n > 0:
        got = len(link.recv(min(n, 1 << 20)))
        if got == 0:
            sys.exit("link.py: the other end is gone")
        n -= got


def both_ways(link):
    sender = threading.Thread(target=link.sendall, args=(bytes(BYTES),))
    sender.start()
    receive(link, BYTES)
    sender.join()


def answer(address):
    with socket.create_server((address, PORT)) as server:
        print("ready", flush=True)
        link, _ = server.accept()
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(TRIPS):
        receive(link, MESSAGE)
        link.sendall(bytes(MESSAGE))
    for _ in range(LOADS):
        receive(link, MESSAGE)
        both_ways(link)


def ask(address):
    link = socket.create_connection((address, PORT))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    trips, loads = [], []
    for _ in range(TRIPS):
        start = time.monotonic()
        link.sendall(bytes(MESSAGE))
        receive(link, MESSAGE)
        trips.append(time.monotonic() - start)
    for _ in range(LOADS):
        start = time.monotonic()
        link.sendall(bytes(MESSAGE))
        both_ways(link)
        loads.append(time.monotonic() - start)
    print(f"{statistics.median(trips) / 2 * 1e6:.0f},{BYTES * 8 / statistics.median(loads) / 1e9:.3f}")


def main():
    if sys.argv[1] in ("answer", "ask"):
        {"answer": answer, "ask": ask}[sys.argv[1]](sys.argv[2])
        return
    here = ["ip", "netns", "exec"]
    with subprocess.Popen(here + [sys.argv[2], sys.executable, __file__, "answer", sys.argv[3]],
                          stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        subprocess.run(here + [sys.argv[1], sys.executable, __file__, "ask", sys.argv[3]], check=True)


main()
