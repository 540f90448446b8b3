# pages.py CHROMIUM RUN COMPARISON BARE PREDICTED [PICTURES] - pages in a browser; what does not hold is printed. RUN
# and PREDICTED have pictures, BARE has none. PICTURES: a folder for what a person should look at. SPDX-License-Identifier: MIT
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser

program, run, comparison, bare, predicted = sys.argv[1:6]
browser = Browser(program)
failed = []


def holds(what, condition, shown=""):
    if not condition:
        failed.append(f"{what}: {shown}")


def silent(what):
    holds(what, not browser.messages, browser.messages)
    browser.messages.clear()


def fits(what):  # nothing sticks out of the page
    wide = browser.js("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    holds(what + " is wider than the screen", wide <= 0, wide)


CONTRAST = """
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const page = numbers(getComputedStyle(document.body).backgroundColor).slice(0, 3);
  const contrast = (element) => {
    const [r, g, b, opaque = 1] = numbers(getComputedStyle(element).backgroundColor);
    const under = light([r, g, b].map((v, i) => opaque * v + (1 - opaque) * page[i]));
    const over = light(numbers(getComputedStyle(element).color).slice(0, 3));
    return (Math.max(under, over) + 0.05) / (Math.min(under, over) + 0.05); };"""


def contrast(selector):  # of a text with what is under it, as WCAG 2.2 (1.4.3) has it
    return browser.js("(() => {%s return contrast(document.querySelector(%s)); })()" % (CONTRAST, json.dumps(selector)))


def least_cell():  # of all shades that a cell may have: the least contrast, and where
    return browser.js("""(() => {%s const cell = document.querySelector("#matrix tbody td"), was = cell.className, all = [];
      for (const kind of "rw") for (let i = 1; i < 10; i++) { cell.className = kind + i; all.push([contrast(cell), kind + i]); }
      cell.className = was; return all.sort((a, b) => a[0] - b[0])[0]; })()""" % CONTRAST)


# A wide screen: a click on a cell shows its pictures, all of them, and those only.
browser.look()
browser.open(run)
silent("the run's page opens")
fits("the run's page")
n = browser.js("""(() => { const cells = [...document.querySelectorAll("#matrix tbody td[class^='w']")];
  cells.sort((a, b) => b.textContent - a.textContent)[0].id = "most"; return Number(cells[0].textContent); })()""")
browser.click("#most")
shown = browser.js("document.querySelectorAll('#cell img').length")
holds("a click on a cell shows its pictures", n > 0 and shown == n, (n, shown))
holds("pictures are drawn", browser.js("[...document.querySelectorAll('#cell img')].every((i) => i.naturalWidth > 0)"))
words = browser.js("document.querySelector('#cell h3').textContent")
holds("the cell is named", "taken for" in words, words)
browser.click("#views button:nth-child(2)")
share = browser.js("document.querySelector('#most').textContent")
holds("shares of the row", 0 < int(share) <= 100, share)
browser.click("#views button:nth-child(1)")
holds("and counts again", browser.js("Number(document.querySelector('#most').textContent)") == n)
strips = browser.js("document.querySelectorAll('#pairs-table .strip img').length")
holds("pairs have pictures", strips > 0, strips)

# A table sorts by a click, and back by another.
column = "[...document.querySelectorAll('#classes tbody tr')].map((r) => Number(r.cells[1].textContent))"
browser.click("#classes th:nth-child(2) button")
first = browser.js(column)
browser.click("#classes th:nth-child(2) button")
second = browser.js(column)
holds("a table sorts", first == sorted(first, reverse=True) and second == sorted(second), (first, second))

# Keys alone: Tab comes to the matrix, arrows move, Enter opens.
browser.open(run)
for _ in range(80):
    if browser.js("document.activeElement.closest('#matrix tbody') !== null"):
        break
    browser.key("Tab")
holds("Tab comes to the matrix", browser.js("document.activeElement.tagName") == "TD")
browser.key("ArrowRight")
browser.key("ArrowDown")
at = browser.js("[document.activeElement.parentNode.sectionRowIndex, document.activeElement.cellIndex]")
holds("arrows move", at == [1, 2], at)
holds("what the cell says is told", browser.js("document.getElementById('told').textContent.length > 5"))
browser.js("""document.querySelector("#matrix tbody td[class^='r']").focus()""")
browser.key("Enter")
holds("Enter opens", browser.js("document.querySelectorAll('#cell img').length") > 0)
silent("the run's page is used")

# Dark, phone, paper, no scripts.
for scheme in ("light", "dark"):
    browser.look(scheme=scheme)
    for selector in ("p", ".note", ".bad", ".good", "nav a"):
        ratio = contrast(selector)
        holds(f"{scheme}: contrast of {selector}", ratio >= 4.5, ratio)
    least = least_cell()
    holds(f"{scheme}: contrast of cells", least[0] >= 4.5, least)
    dark = browser.js("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] < 100")
    holds(f"{scheme} is {scheme}", dark == (scheme == "dark"))
browser.look(width=390, height=844)
for path in (run, comparison, bare, predicted):
    browser.open(path)
    fits(f"{path} on a phone")
for tag in ("p", "h3", "li"):  # a path or label without a blank breaks
    browser.open(run)
    browser.js("""(() => { const list = document.createElement("ul"), word = document.createElement(%s);
      list.className = "remarks"; word.textContent = "x".repeat(300);
      document.getElementById("summary").append(list); (word.tagName === "LI" ? list : list.parentNode).append(word); })()"""
               % json.dumps(tag))
    fits(f"a long word in {tag} on a phone")
browser.open(run)
browser.call("Emulation.setEmulatedMedia", media="print")
browser.call("Emulation.setDeviceMetricsOverride", width=718, height=1000, deviceScaleFactor=1, mobile=False)
right = browser.js("document.querySelector('#matrix').getBoundingClientRect().right")
holds("paper has all of the matrix", right <= 719, right)
browser.js("document.querySelector('#classes td').textContent = 'x'.repeat(300)")
right = browser.js("Math.max(...[...document.querySelectorAll('table')].map((t) => t.getBoundingClientRect().right))")
holds("paper has all columns, with a long label, too", right <= 719, right)
browser.call("Emulation.setEmulatedMedia", media="")
browser.look(scripts=False)
browser.open(run)
holds("without scripts there are tables, drawings and top losses",
      browser.js("document.querySelectorAll('table').length") > 5 and browser.js("document.querySelectorAll('svg').length") > 3
      and browser.js("document.querySelectorAll('#losses img').length") > 3)
browser.look()
for path in (comparison, predicted, bare):
    browser.open(path)
    silent(path)
    fits(path)
holds("a page without pictures says so", "no pictures" in browser.js("document.querySelector('#summary').textContent"))
browser.open(comparison)
holds("the comparison has pictures", browser.js("[...document.querySelectorAll('.picture img')].filter((i) => i.naturalWidth > 0).length") > 0)

# The control: what the policy forbids must be told, else the silence above says nothing.
browser.js("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
holds("a foreign script does not run", browser.js("window.ran") is None)
holds("and is told", any("Content Security Policy" in m for m in browser.messages), browser.messages)
browser.close()
for line in failed:
    print("FAIL:", line)
sys.exit(1 if failed else 0)
