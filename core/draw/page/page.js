// page.js - what every page's script works with. Nothing here is needed to read a page: without scripts all tables,
// drawings and top losses are there. SPDX-License-Identifier: MIT
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const said = (name) => document.querySelector(`meta[name="presize-${name}"]`)?.content; // by the server
const served = Boolean(said("token")), servedRun = said("run");

// An element with its attributes and children; texts become text nodes, never markup.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

// The picture of an object with "jpeg" (base64), "w", "h", "id"; null where it has none.
function image(picture) {
  if (!picture.jpeg) return null;
  return make("img", {
    src: `data:image/jpeg;base64,${picture.jpeg}`, width: picture.w, height: picture.h,
    alt: picture.id,
  });
}

// A picture with lines below it: texts or elements.
function figure(picture, ...lines) {
  const caption = make("figcaption");
  lines.forEach((line, i) => caption.append(...(i ? [make("br")] : []), line));
  return make("figure", { class: "picture" },
    make("div", {}, image(picture) || make("span", { class: "gone" }, "no picture")), caption);
}

// Buttons of which one is pressed: [[name, what it does], ...].
function choice(label, options) {
  const group = make("div", { class: "choice", role: "group", "aria-label": label });
  for (const [name, chosen] of options) {
    group.append(make("button", {
      type: "button", "aria-pressed": String(group.childElementCount === 0),
      onclick: (event) => {
        for (const button of group.children) button.setAttribute("aria-pressed", String(button === event.currentTarget));
        chosen();
      },
    }, name));
  }
  return group;
}

// Tables of class "sort": a click on a heading sorts by its column, a second one the other way.
function sortable(table) {
  const body = table.tBodies[0];
  const key = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  const compare = (a, b) => {
    const x = parseFloat(a), y = parseFloat(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  const sort = (heading, column, again) => {
    const now = heading.getAttribute("aria-sort");
    const down = again ? now === "descending" : now === "ascending" || (!now && heading.classList.contains("n"));
    const sorted = [...body.rows].sort((a, b) => {
      const x = key(a, column), y = key(b, column);
      if (x === "" || y === "") return (x === "") - (y === ""); // what is not known comes last
      return down ? compare(y, x) : compare(x, y);
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...sorted);
  };
  table.sortAgain = () => { // rows were exchanged
    const heading = table.tHead.querySelector("[aria-sort]");
    if (heading) sort(heading, heading.cellIndex, true);
  };
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if (heading.tagName !== "TH") return;
    const button = make("button", { type: "button", title: "sort", onclick: () => sort(heading, column) });
    button.append(...heading.childNodes);
    heading.append(button);
  });
}

// Whatever comes into the page: its tables sort, what scrolls can be reached with the keyboard.
function enliven(part) {
  part.querySelectorAll("table.sort").forEach(sortable);
  for (const box of part.querySelectorAll(".wide")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}
enliven(document);

// --- what only a served page does ----------------------------------------------------------------------

// Asks for this page again every SECONDS() (0: no more) and gives what came to TAKE(document). Quiet while nobody looks;
// less often where the page takes long to make, as others wait meanwhile.
async function refresh(seconds, take) {
  let took = 0;
  while (served && seconds() > 0) {
    await new Promise((done) => setTimeout(done, 1000 * Math.max(seconds(), 5 * took)));
    if (document.hidden || seconds() === 0) continue;
    const began = performance.now();
    let text = null;
    try {
      const answer = await fetch(location.href);
      if (answer.ok) text = await answer.text();
    } catch (error) { /* the server is not there; it may come back */ }
    took = (performance.now() - began) / 1000;
    if (text !== null) take(new DOMParser().parseFromString(text, "text/html")); // a fault of TAKE is told
  }
}

// Sends BODY to WHERE, of the run RUN; what the server answers. An error has its words.
async function send(where, run, type, body) {
  const answer = await fetch(`${where}?run=${encodeURIComponent(run)}`,
    { method: "POST", headers: { "Content-Type": type, "X-Presize-Token": said("token") }, body });
  const text = await answer.text();
  const json = text.startsWith("{") ? JSON.parse(text) : {};
  if (!answer.ok) throw new Error(json.error || `the server refused (${answer.status})`);
  return json;
}

// A picture of the run opens as large as the shards have it.
function enlarge(image) {
  const large = make("img", { src: `/${image.classList.contains("cam") ? "cam" : "picture"}?run=${encodeURIComponent(servedRun)}&id=${encodeURIComponent(image.alt)}&side=1024`, alt: image.alt });
  const dialog = make("dialog", { onclick: () => dialog.close(), onclose: () => { dialog.remove(); image.focus(); } },
    large, make("p", { class: "note" }, image.alt), make("button", { type: "button", class: "plain" }, "Close"));
  document.body.append(dialog);
  dialog.showModal();
}

if (served && servedRun) {
  const opens = (event) => {
    const image = event.target.closest?.(".picture img");
    if (!image || event.target.closest(".card, dialog")) return;
    if (event.type === "keydown" && event.key !== "Enter") return;
    enlarge(image);
  };
  for (const image of document.querySelectorAll(".picture img")) {
    image.tabIndex = 0;
    image.classList.add("opens");
  }
  document.addEventListener("click", opens);
  document.addEventListener("keydown", opens);
}
