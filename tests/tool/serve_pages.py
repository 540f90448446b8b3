# serve_pages.py CHROMIUM ADDRESS RESULTS FIRST SECOND STUDY PICTURE-FILE [PICTURES] - pages of eval --serve in a browser; what
# does not hold is printed. ADDRESS is the line that eval prints, FIRST and SECOND are runs of one set, STUDY has two runs.
# PICTURES: a folder for what a person should look at. SPDX-License-Identifier: MIT
import csv
import fcntl
import glob
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser

program, address, results, first, second, study, file = sys.argv[1:8]
pictures = sys.argv[8] if len(sys.argv) > 8 else None
browser = Browser(program)
browser.server = address.split("?")[0]
failed = []


def holds(what, condition, shown=""):
    if not condition:
        failed.append(f"{what}: {shown}")


def waits(what, code, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if browser.js(code):
                return
        except RuntimeError:  # between two pages
            pass
        time.sleep(0.1)
    holds(what, False, browser.js("document.title + ' ' + document.body.textContent.slice(0, 300)"))


def silent(what):
    holds(what, not browser.messages, browser.messages)
    browser.messages.clear()


def look(name):  # every page: phone and wide, light and dark
    for width in (1280, 400):
        for scheme in ("light", "dark"):
            browser.look(width=width, scheme=scheme)
            wide = browser.js("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            holds(f"{name} is wider than {width} px", wide <= 0, wide)
            if pictures:
                browser.picture(f"{pictures}/{name}-{width}-{scheme}.png")
    browser.look(width=1280)


def goes(selector, what, code):  # a click that leads to another page
    browser.js("window.here = 1")
    browser.click(selector)
    waits(what, "window.here === undefined && document.readyState === 'complete' && " + code)


# The list: it has all runs, filters and sorts; the token has left the address.
browser.look(width=1280)
browser.open(address)
silent("the list opens")
holds("the token leaves the address", browser.js("location.search") == "", browser.js("location.href"))
holds("the cookie is not the script's", browser.js("document.cookie") == "")
runs = browser.js("[...document.querySelectorAll('#list tbody a')].map((a) => a.textContent)")
holds("all runs are there", {first, second} <= set(runs), runs)
look("list")
browser.js(f"const f = document.querySelector('#bar input'); f.value = {json.dumps(second)}; f.dispatchEvent(new Event('input'))")
holds("the list filters", browser.js("document.querySelectorAll('#list tbody tr:not([hidden])').length") == 1)
browser.js("f.value = ''; f.dispatchEvent(new Event('input'))")
browser.click("#list thead th:nth-of-type(3) button")
rates = browser.js("[...document.querySelectorAll('#list tbody tr')].map((r) => Number(r.cells[3].textContent)).filter((x) => x)")
holds("the list sorts", len(rates) >= 2 and rates == sorted(rates, reverse=True), rates)

# Ticked runs are compared, by the page that --compare writes.
for name in (first, second):
    browser.click(f"#list input[value={json.dumps(name)}]")
goes("#act button", "ticked runs are compared", "document.querySelector('#figures') !== null")
silent("the comparison opens")
look("compare")

# A run: the page that --report writes; a picture opens large; a file is predicted.
browser.open(browser.server)
goes(f"#list a[href='/run?run={first}']", "the name leads to the run", "document.querySelector('#losses') !== null")
silent("the run opens")
small = browser.js("document.querySelector('#losses img').naturalWidth")
browser.click("#losses img")
waits("a picture opens", "(document.querySelector('dialog img') || {}).naturalWidth > 0")
large = browser.js("document.querySelector('dialog img').naturalWidth")
holds("as large as the shards have it", large >= small, (small, large))
if pictures:
    browser.picture(f"{pictures}/enlarged.png")
browser.click("dialog button")
waits("and closes", "!document.querySelector('dialog')")
browser.click("#cams button:nth-child(2)")
waits("class activation maps come", "[...document.querySelectorAll('#losses .cam')].every((i) => i.naturalWidth > 0) && "
      "document.querySelectorAll('#losses .cam').length > 0")
holds("in the pictures' place", browser.js("[...document.querySelectorAll('#losses img')].filter((i) => i.offsetWidth > 0).every((i) => i.classList.contains('cam'))"))
if pictures:
    browser.picture(f"{pictures}/cams.png", "#losses")
browser.click("#cams button:nth-child(1)")
holds("and go", browser.js("[...document.querySelectorAll('#losses .cam')].every((i) => i.offsetWidth === 0)"))
root = browser.call("DOM.getDocument")["root"]["nodeId"]
node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
browser.call("DOM.setFileInputFiles", nodeId=node, files=[os.path.abspath(file)])
waits("a file is predicted", "document.querySelectorAll('#predict figcaption b').length === 1")
waits("its map is drawn", "document.querySelector('#predict img').naturalWidth === 320")
holds("probabilities are shown", browser.js("/\\d\\s*%/.test(document.querySelector('#predict figcaption').textContent)"))
silent("the run is used")
look("run")

# A study: from the list to its page, to a run of it, and back.
browser.open(browser.server)
goes("#studies a", "the list leads to the study", "document.querySelector('#recipes') !== null")
silent("the study opens")
holds("its runs are counted", "2 of 2 runs done" in browser.js("document.querySelector('#summary').textContent"))
holds("seeds are drawn", browser.js("document.querySelectorAll('#recipes circle').length") == 3)
holds("curves are drawn", browser.js("document.querySelectorAll('#curves polyline').length") >= 4)
look("study")
goes("#runs tbody a", "the study leads to a run", "document.querySelector('#losses') !== null")
silent("a run of the study opens")
goes(".home a:nth-of-type(2)", "the run leads to its study", "document.querySelector('#recipes') !== null")
browser.open(browser.server)
goes(f"#list a[href='/study?study={study}']", "so does its name in the list", "document.querySelector('#recipes') !== null")

# A run of it is deleted, which another process would train again: the page sees it come back.
names = browser.js("[...document.querySelectorAll('#runs tbody a')].map((a) => a.textContent)")
shutil.move(f"{results}/{study}/{names[1]}", f"{results}/.{names[1]}")
browser.open(browser.js("location.href"))
holds("a run is due", "1 of 2 runs done, 1 due" in browser.js("document.querySelector('#summary').textContent"))
browser.js("window.here = 1; document.querySelector('#runs thead th:nth-of-type(2) button').click()")
shutil.move(f"{results}/.{names[1]}", f"{results}/{study}/{names[1]}")
waits("and is done", "/2 of 2 runs done/.test(document.querySelector('#summary').textContent)")
holds("without a reload, still sorted", browser.js("window.here === 1 && document.querySelector('#runs [aria-sort]') !== null"))
silent("the study is used")
goes("#runs a[href^='/issues']", "the study leads to its labels", "document.querySelector('#work .card') !== null")
silent("the labels of a study open")
holds("they are judged by its runs", "judged by 2 runs" in browser.js("document.querySelector('#summary').textContent"))
holds("marks are those of one of them", browser.js("document.querySelector('meta[name=presize-run]').content").startswith(study + "/"))

# Marks are saved at once, and are there after a reload.
browser.open(browser.server + f"run?run={first}")
goes("nav a[href^='/issues']", "the run leads to its labels", "document.querySelector('#work .card') !== null")
silent("the labels open")
table = glob.glob(f"{results}/clean-*.csv")
for path in table:
    os.remove(path)
browser.open(browser.js("location.href"))
browser.click("#bar .choice:last-of-type button:nth-child(2)")
marked = browser.js("document.querySelector('#work .card').picture.id")
browser.js("document.querySelector('#work .card').focus()")
for key in "d":
    browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
    browser.call("Input.dispatchKeyEvent", type="keyUp", key=key)
until = time.monotonic() + 60
while not glob.glob(f"{results}/clean-*.csv") and time.monotonic() < until:
    time.sleep(0.05)
rows = list(csv.DictReader(open(glob.glob(f"{results}/clean-*.csv")[0])))
holds("a mark is saved at once", [(r["path"], r["action"]) for r in rows] == [(marked, "drop")], rows)
browser.open(browser.js("location.href"))
waits("marks survive a reload", "/1 dropped/.test(document.querySelector('#bar').textContent)")
waits("and the card has its mark", "document.querySelector('#work .card[data-action=drop]') !== null")
silent("the labels are used")
look("issues")

# Two pages of one set do not undo each other: the table was changed behind this page.
with open(glob.glob(f"{results}/clean-*.csv")[0], "a") as f:
    f.write(f"{browser.js('data.pictures.at(-1).id')},drop,,by another page\n")
browser.js("document.querySelector('#work .card').focus()")
browser.call("Input.dispatchKeyEvent", type="keyDown", key="k", text="k")
waits("a table that was changed is not overwritten", "/was changed/.test(document.querySelector('#bar').textContent)")
holds("nor is the other mark lost", "by another page" in open(glob.glob(f"{results}/clean-*.csv")[0]).read())
browser.messages.clear()  # the console says 409

# The same maps in the page of one file.
browser.open(f"{results}/{first}/report.html")
silent("the file opens")
browser.click("#cams button:nth-child(2)")
holds("a file has its maps inside", browser.js("[...document.querySelectorAll('#losses .cam')].filter((i) => i.offsetWidth > 0 && i.naturalWidth === 160).length") > 3)
silent("the file is used")

# A run in progress: its curves grow, and its end is seen.
live = f"{results}/live"
shutil.copytree(f"{results}/{first}", live)
for name in glob.glob(live + "/*"):
    if os.path.basename(name) not in ("run.json", "metrics.jsonl", "timing.jsonl", "params.yaml", "resolved.yaml"):
        shutil.rmtree(name) if os.path.isdir(name) else os.remove(name)
record = json.load(open(live + "/run.json"))
record["status"] = "running"
json.dump(record, open(live + "/run.json", "w"))
lines = open(live + "/metrics.jsonl").readlines()
open(live + "/metrics.jsonl", "w").writelines(lines[:1])
lock = open(live + "/.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
browser.open(browser.server + "run?run=live")
silent("a run in progress opens")
holds("it is in progress", browser.js("document.querySelector('.badge').textContent") == "running")
drawn = browser.js("document.querySelector('#curves').innerHTML")
browser.js("window.here = 1")
with open(live + "/metrics.jsonl", "a") as f:
    f.writelines(lines[1:2])
until = time.monotonic() + 60
while browser.js("document.querySelector('#curves').innerHTML") == drawn and time.monotonic() < until:
    time.sleep(0.2)
holds("its curves grow", browser.js("document.querySelector('#curves').innerHTML") != drawn)
holds("without a reload", browser.js("window.here") == 1)
browser.open(browser.server)
holds("the list has its epoch", "epoch 1" in browser.js("document.querySelector('#list').textContent"))
lock.close()
browser.look(scripts=False)
browser.open(browser.server)
holds("without scripts the list is a form", browser.js("document.querySelectorAll('#list input').length") >= 3)
browser.look()

# The control: what the policy forbids must be told, else the silence above says nothing.
browser.open(browser.server)
browser.js("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
holds("a foreign script does not run", browser.js("window.ran") is None)
holds("and is told", any("Content Security Policy" in m for m in browser.messages), browser.messages)
browser.close()
for line in failed:
    print("FAIL:", line)
sys.exit(1 if failed else 0)
