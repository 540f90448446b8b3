#!/usr/bin/env python3
"""Serves ./served on 127.0.0.1 with ETag, Range and If-Range; prints its port. For the tests of fetch.

/FILE          whole, or the part that was asked for
/broken.../FILE  ends half way the first time that it is asked for
Each answer is noted as a line "FIRST COUNT" in ./sent: the first byte sent, and how many the system took.
Where ./kill_at names a byte of the file, the process named in ./pid gets kill -9 (or the signal in
./signal) once that byte was sent, ./kill_at goes, and so does the connection. With CERT KEY as arguments it speaks TLS.
SPDX-License-Identifier: MIT
"""
import hashlib
import http.server
import os
import re
import signal
import socket
import ssl
import sys
import time

PIECE = 1 << 14
seen = set()


def read(path, binary=False):
    with open(path, "rb" if binary else "r") as file:
        return file.read()


def kill_client(connection):
    while not (os.path.exists("pid") and read("pid").strip()):
        time.sleep(0.001)
    number = int(read("signal")) if os.path.exists("signal") else signal.SIGKILL
    os.remove("kill_at")
    os.kill(int(read("pid")), number)
    # not a byte more, however late the client gets the signal: it hangs up, or is dead
    connection.settimeout(60)
    connection.recv(1)
    raise ConnectionError("the client got its signal")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, name = self.path.lstrip("/").rpartition("/")
        try:
            data = read("served/" + name, True)
        except OSError:
            return self.send_error(404)
        tag = '"' + hashlib.md5(data).hexdigest() + '"'
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(asked.group(1)) if asked else 0
        if self.headers.get("If-Range", tag) != tag:
            first = 0
        end = len(data)
        if kind.startswith("broken") and self.path not in seen:
            end = (first + end) // 2
        seen.add(self.path)
        self.send_response(206 if first else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Connection", "close")
        self.end_headers()
        self.send_body(data, first, end)
        self.close_connection = True

    def send_body(self, data, first, end):
        at = first
        try:
            while at < end:
                if os.path.exists("kill_at"):
                    time.sleep(0.001)  # the client keeps up: what it was sent, it has
                    if at >= int(read("kill_at")):
                        kill_client(self.connection)
                piece = data[at : min(at + PIECE, end)]
                self.wfile.write(piece)
                at += len(piece)
        except OSError:
            pass
        with open("sent", "a") as file:
            file.write(f"{first} {at - first}\n")

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
# small, for "sent" to be hardly more than "received"
server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
if len(sys.argv) == 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
