# serve_hostile.py ADDRESS RUN FOLDER PICTURE LABEL STUDY - what eval --serve must refuse, spoken over a plain socket; what it
# does not refuse is printed. ADDRESS is the line that eval prints; RUN a run, FOLDER its folder, PICTURE and LABEL of its set,
# STUDY a study. Beside FOLDER lies the run "second" of the same network.
# Control: the same questions in the right form are answered. SPDX-License-Identifier: MIT
import json
import os
import socket
import sys
import time
from urllib.parse import quote, urlsplit

address, run, folder, picture, label, study = sys.argv[1:7]
port, entry = urlsplit(address).port, urlsplit(address).query.split("=")[1]
failed, refused = [], 0


def talk(data, family=socket.AF_INET, wait=20):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(wait)
        s.connect(("127.0.0.1" if family == socket.AF_INET else "::1", port))
        try:
            for i in range(0, len(data), 1 << 16):
                s.sendall(data[i:i + (1 << 16)])
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent
        answer = b""
        try:
            while block := s.recv(1 << 16):
                answer += block
        except ConnectionResetError:
            pass
        return answer


def status(answer):
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0


HOST = f"127.0.0.1:{port}"


def ask(method="GET", path="/", host=HOST, headers=(), body=b"", cookie=True, version="HTTP/1.1", length=None):
    lines = [f"{method} {path} {version}", "Connection: close"] + ([f"Host: {host}"] if host else []) + list(headers)
    if cookie:
        lines.append(f"Cookie: other=1; presize-{port}={session}")
    if body or length is not None:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return talk(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)


def good(what, answer, wanted=200):
    if status(answer) != wanted:
        failed.append(f"{what}: {status(answer)}, expected {wanted}: {answer[:200]!r}")
    return answer


def bad(what, answer, *statuses):  # no status: the connection may also just end
    global refused
    refused += 1
    got = status(answer)
    if (got not in statuses) if statuses else (got and got < 400):
        failed.append(f"{what}: {got}, expected {statuses or 'a refusal'}: {answer[:300]!r}")
    if token and token.encode() in answer or b"root:" in answer:
        failed.append(f"{what}: the answer gives something away")
    again = ask()
    if status(again) != 200:
        failed.append(f"after {what} the server answers {status(again)}")


# The entry gives a cookie; the page gives the token.
token = ""
session = entry
answer = good("the address that was printed", ask(path=f"/?token={entry}", cookie=False), 303)
assert b"HttpOnly; SameSite=Strict" in answer, answer
page = good("the list", ask())
token = page.split(b'"presize-token" content="')[1].split(b'"')[0].decode()
assert len(token) == 32 and token != session
idle = socket.create_connection(("127.0.0.1", port))  # says nothing; must be closed
trickle = socket.create_connection(("127.0.0.1", port))  # never ends its question; must not hinder others
trickle.sendall(b"GET / HTTP/1.1\r\nHost: ")
good("a run", ask(path=f"/run?run={quote(run, safe='')}"))
good("a picture", ask(path=f"/picture?run={quote(run, safe='')}&id={quote(picture, safe='')}&side=64"))
good("a map", ask(path=f"/cam?run={quote(run, safe='')}&id={quote(picture, safe='')}&side=64"))
good("a study", ask(path=f"/study?study={quote(study, safe='')}"))
good("labels of a study", ask(path=f"/issues?study={quote(study, safe='')}"))
good("HEAD", ask("HEAD"))
good("localhost", ask(host=f"localhost:{port}"))
if socket.has_ipv6:
    try:
        good("IPv6", talk(f"GET / HTTP/1.1\r\nHost: [::1]:{port}\r\nConnection: close\r\nCookie: presize-{port}={session}\r\n\r\n".encode(),
                          socket.AF_INET6))
    except OSError:
        print("not tested: ::1 (this machine has no IPv6)")

# Who asks.
bad("no cookie", ask(cookie=False), 403)
bad("no cookie, a run", ask(path=f"/run?run={run}", cookie=False), 403)
bad("no cookie, a study", ask(path=f"/study?study={study}", cookie=False), 403)
bad("no cookie, an unknown page", ask(path="/nothing", cookie=False), 403)
bad("a wrong token in the address", ask(path="/?token=" + "0" * 32, cookie=False), 403)
bad("the beginning of the token", ask(path="/?token=" + entry[:16], cookie=False), 403)
bad("the token at another page", ask(path=f"/run?run={run}&token={entry}", cookie=False), 403)
for what, value in (("a wrong cookie", "0" * 32), ("an empty cookie", ""), ("a longer cookie", session + "0"), ("a shorter cookie", session[:31])):
    bad(what, ask(cookie=False, headers=[f"Cookie: presize-{port}={value}"]), 403)
bad("a cookie of another port", ask(cookie=False, headers=[f"Cookie: presize-{port + 1}={session}"]), 403)
for host in ("example.org", f"example.org:{port}", f"127.0.0.1.example.org:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}",
             f"localhost:{port}.example.org", f"0.0.0.0:{port}", f"user@127.0.0.1:{port}"):
    bad(f"Host: {host}", ask(host=host), 400, 403)
bad("no Host", ask(host=None), 400, 403)
bad("two Hosts", ask(headers=[f"Host: {HOST}"]), 400)
bad("HTTP/1.0 without Host", ask(host=None, version="HTTP/1.0"), 400, 403)
bad("an address of another server", ask(path="http://example.org/", host="example.org"), 400, 403, 404)
for origin in ("http://example.org", "null", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{port}.example.org", "http://127.0.0.1", ""):
    bad(f"Origin: {origin}", ask(headers=[f"Origin: {origin}"]), 403)
for site in ("cross-site", "same-site", "anything"):
    bad(f"Sec-Fetch-Site: {site}", ask(headers=[f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: no-cors"]), 403)
good("a link on another page", ask(headers=["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"]))

# What is asked for.
for path in ("/etc/passwd", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/run/../../etc/passwd", "//etc/passwd", "/run.json",
             f"/{run}/run.json", "/run%00", "/favicon.ico"):
    bad(path, ask(path=path), 400, 404)
for name in ("", ".", "..", "../" + run, f"{run}/../{run}", f"./{run}", "/etc", folder, f"{run}/", f"{run}\0", "%2e%2e", "\u202e", "<script>", "x" * 9000):
    bad(f"run={name[:40]!r}", ask(path="/run?run=" + quote(name, safe="")), 400)
for name in ("", ".", "..", run, f"{run}/../{study}", f"./{study}", f"{study}/", f"{study}\0", "/etc", folder, folder.rsplit("/", 1)[0] + "/" + study,
             "%2e%2e", "<script>", "x" * 9000):
    for page in ("study", "issues"):
        bad(f"{page}?study={name[:40]!r}", ask(path=f"/{page}?study=" + quote(name, safe="")), 400)
bad("no study", ask(path="/study"), 400)
bad("a run's argument", ask(path=f"/study?run={study}"), 400)
bad("a study as a run", ask(path=f"/run?run={study}"), 400)
bad("a file of a study", ask(path="/run?run=" + quote(study + "/study.json", safe="")), 400)
bad("a study that is written", ask("POST", path=f"/study?study={study}", headers=[f"X-Presize-Token: {token}"]), 405)
bad("no run", ask(path="/run"), 400)
bad("one run compared", ask(path=f"/compare?run={quote(run, safe='')}"), 400)
bad("a comparison with a folder", ask(path=f"/compare?run={quote(run, safe='')}&run={quote(folder, safe='')}"), 400)
bad("issues of a folder", ask(path="/issues?run=" + quote(folder, safe="")), 400)
for id in ("../run.json", folder + "/run.json", "", picture + "\0", picture + "/", "/" + picture):
    for what in ("picture", "cam"):
        bad(f"{what} {id!r}", ask(path=f"/{what}?run={quote(run, safe='')}&id={quote(id, safe='')}"), 400)
for side in ("0", "-5", "99999999", "1e3", "0x40", " 64", "64x", ""):
    bad(f"side={side}", ask(path=f"/picture?run={quote(run, safe='')}&id={quote(picture, safe='')}&side={quote(side)}"), 400)
bad("a hundred arguments", ask(path="/run?" + "&".join(f"run={run}" for _ in range(100))), 400)
bad("an address of 100 KB", ask(path="/run?run=" + "x" * 100000))
bad("headers of 100 KB", ask(headers=["X-Long: " + "x" * 100000]))
bad("a GET with a body", ask(body=b"x"), 400, 413)
for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get"):
    bad(method, ask(method, path="/marks"))
bad("POST of a page", ask("POST", headers=[f"X-Presize-Token: {token}"]), 405)
bad("GET of what writes", ask(path=f"/marks?run={run}"), 405)
bad("bytes", talk(bytes(range(256)) * 8 + b"\r\n\r\n"))
bad("a TLS hello", talk(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n"))

# What writes.
MARKS = f"/marks?run={quote(run, safe='')}"
JSON = ["Content-Type: application/json"]
TOKEN = [f"X-Presize-Token: {token}"]


def post(rows, was="", path=MARKS, headers=None, body=None):
    text = json.dumps({"was": was, "rows": rows}).encode() if body is None else body
    return ask("POST", path=path, headers=TOKEN + JSON if headers is None else headers, body=text)


row = [picture, "drop", "", "why"]
bad("no token", post([row], headers=JSON), 403)
bad("a wrong token", post([row], headers=JSON + ["X-Presize-Token: " + "0" * 32]), 403)
bad("the session as the token", post([row], headers=JSON + [f"X-Presize-Token: {session}"]), 403)
bad("the token without a cookie", ask("POST", path=MARKS, headers=TOKEN + JSON, body=b"{}", cookie=False), 403)
bad("a form's type", post([row], headers=TOKEN + ["Content-Type: text/plain"]), 415)
bad("no type", post([row], headers=TOKEN), 415)
bad("a post from another site", post([row], headers=TOKEN + JSON + ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"]), 403)
bad("a post with another origin", post([row], headers=TOKEN + JSON + ["Origin: http://example.org"]), 403)
for what, body in (("no JSON", b"path,action"), ("an empty body", b""), ("a list", b"[]"), ("rows that are no list", b'{"was": "", "rows": {}}'),
                   ("no was", b'{"rows": []}'), ("a deep JSON", b'{"was": "", "rows": ' + b"[" * 100000 + b"]" * 100000 + b"}"),
                   ("JSON that is cut off", b'{"was": "", "rows": [['), ("no UTF-8", b'{"was": "", "rows": [["\xff", "drop", "", ""]]}')):
    bad(what, post(None, body=body), 400)
for what, one in (("an unknown picture", ["../../x", "drop", "", ""]), ("an action of its own", [picture, "delete", "", ""]),
                  ("a label of its own", [picture, "relabel", "=cmd", ""]), ("drop with a label", [picture, "drop", label, ""]),
                  ("a number", [picture, "drop", "", 5]), ("a short row", [picture, "drop"]), ("a control character", [picture, "drop", "", "a\nb"]),
                  ("a reason of 1,000 characters", [picture, "drop", "", "x" * 1000])):
    bad(what, post([one]), 400)
bad("a picture twice", post([row, row]), 400)
bad("marks of a run that is not there", post([row], path="/marks?run=..%2f" + run), 400)
bad("another state of the table", post([row], was="0" * 64), 409)
bad("a body of 9 GB", ask("POST", path=MARKS, headers=TOKEN + JSON, length=9 << 30), 413)
bad("a length that is no number", ask("POST", path=MARKS, headers=TOKEN + JSON, length="ten"))
chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
bad("pieces of 12 MB", talk((f"POST {MARKS} HTTP/1.1\r\nHost: {HOST}\r\nCookie: presize-{port}={session}\r\n{TOKEN[0]}\r\n{JSON[0]}\r\n"
                             "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n").encode() + 12 * chunk + b"0\r\n\r\n"))
bad("a text as a picture", ask("POST", path=f"/predict?run={quote(run, safe='')}", headers=TOKEN + ["Content-Type: application/octet-stream"],
                              body=b"no picture"), 400)
bad("nothing as a picture", ask("POST", path=f"/predict?run={quote(run, safe='')}", headers=TOKEN + ["Content-Type: application/octet-stream"],
                               length=0), 400)

# The right form: a picture is predicted, twice the same; by the weights that the run has now, should they have changed.
seen = good("a picture", ask(path=f"/picture?run={quote(run, safe='')}&id={quote(picture, safe='')}")).split(b"\r\n\r\n", 1)[1]


def predict():
    answer = good("a prediction", ask("POST", path=f"/predict?run={quote(run, safe='')}", body=seen,
                                      headers=TOKEN + ["Content-Type: application/octet-stream"]))
    return answer.split(b"\r\n\r\n", 1)[1]


def swap(one, two):
    for a, b in ((one, one + ".away"), (two, one), (one + ".away", two)):
        os.rename(a, b)


mine, theirs = folder + "/checkpoints", os.path.dirname(folder) + "/second/checkpoints"
first = predict()
if predict() != first or b'"cam"' not in first or b'"best"' not in first:
    failed.append(f"a picture is predicted otherwise the second time: {first[:200]!r}")
swap(mine, theirs)
if predict() == first:
    failed.append("other weights, the same prediction")
swap(mine, theirs)
if predict() != first:
    failed.append("the first weights again, another prediction")

# The right form: a reason that a spreadsheet would run does not stay one.
answer = good("marks", post([[picture, "relabel", label, "=1+1"]]))
was = json.loads(answer.split(b"\r\n\r\n", 1)[1]).get("was", "")
bad("the same again, of the table before", post([row]), 409)
good("further marks", post([[picture, "drop", "", "=1+1"]], was=was))

# Many connections: the others wait or are closed, the server lives, and answers when they have gone.
crowd = []
for _ in range(260):
    try:
        crowd.append(socket.create_connection(("127.0.0.1", port), timeout=2))
    except OSError:
        break
for s in crowd:
    s.close()
good("after a crowd", ask())
trickle.close()

# A silent connection is closed.
idle.settimeout(40)
try:
    silent = idle.recv(1) == b""
except ConnectionResetError:
    silent = True
except TimeoutError:
    silent = False
if not silent:
    failed.append("a silent connection stays open")
for line in failed:
    print("FAIL:", line)
print(f"{refused} questions were to be refused")
sys.exit(1 if failed or refused < 30 else 0)
