// issues.js - the page of eval --issues: keep, drop or relabel pictures, with mouse or keys; the marks stay in this browser
// until they are downloaded as clean.csv. data: store (name of the marks), classes, pictures, worst first, before (rows of
// the table that the run was cleaned by). SPDX-License-Identifier: MIT

const marks = new Map(); // path: {action, label}
let stored = true; // whether the browser keeps them

// Served, the server keeps them: one table at a time, each with the hash of the one before, so that two pages of one set
// do not undo each other.
const saving = { was: data.saved?.was, busy: false, due: false, fault: "" };

async function saveServed() {
  saving.due = true;
  if (saving.busy) return;
  saving.busy = true;
  while (saving.due && !saving.fault) {
    saving.due = false;
    try {
      const answer = await send("/marks", servedRun, "application/json", JSON.stringify({ was: saving.was, rows: rows() }));
      saving.was = answer.was;
    } catch (error) {
      saving.fault = error.message;
    }
    tell();
  }
  saving.busy = false;
}

function load() {
  if (served) {
    for (const row of data.saved.rows) marks.set(row.path, row.action === "relabel" ? { action: row.action, label: row.label } : { action: row.action });
    return;
  }
  try {
    for (const [path, mark] of Object.entries(JSON.parse(localStorage.getItem(data.store) || "{}"))) marks.set(path, mark);
  } catch (error) {
    stored = false;
  }
}

function save() {
  if (served) return saveServed();
  try {
    localStorage.setItem(data.store, JSON.stringify(Object.fromEntries(marks)));
  } catch (error) {
    stored = false;
  }
}

// --- clean.csv ----------------------------------------------------------------------------------------

// RFC 4180; what a spreadsheet would run as a formula gets a ' before it, which data.clean reads away.
function cell(text) {
  const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

// Earlier rows stay, unless the picture is marked again; keep then means the label that the earlier row gave. All marks are
// written, also those of an earlier page whose pictures this one does not show.
function rows() {
  const table = new Map(data.before.map((row) => [row.path, [row.path, row.action, row.label, ""]]));
  const shownHere = new Map(data.pictures.map((picture) => [picture.id, picture]));
  for (const [id, mark] of marks) {
    const picture = shownHere.get(id);
    if (mark.action === "keep" && table.has(id)) continue;
    table.set(id, [id, mark.action, mark.action === "relabel" ? mark.label : "", picture
      ? `${data.classes[picture.given]} ${picture.p_given.toFixed(2)}, predicted ${data.classes[picture.suggested]} ${picture.p_suggested.toFixed(2)}`
      : "marked on an earlier page"]);
  }
  return [...table.values()].sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

const table = () => [["path", "action", "label", "why"], ...rows()].map((row) => `${row.map(cell).join(",")}\n`).join("");

function download() {
  const link = make("a", { href: URL.createObjectURL(new Blob([table()], { type: "text/csv" })), download: "clean.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// --- cards --------------------------------------------------------------------------------------------

const grid = make("div", { class: "pictures", role: "list" });
const told = make("span", { role: "status" });
const shown = { label: -1, part: "", all: false };

const markWords = (mark) => (!mark ? "" : mark.action === "relabel" ? `relabel: ${mark.label}` : mark.action);

function tell() {
  const n = { keep: 0, drop: 0, relabel: 0 };
  for (const mark of marks.values()) n[mark.action]++;
  told.textContent = `${n.keep} kept, ${n.drop} dropped, ${n.relabel} relabelled` +
    (saving.fault ? `; not saved: ${saving.fault}` : saving.busy && saving.due ? "; saving" : "") +
    (stored ? "" : "; this browser does not store them: download before you leave");
  told.classList.toggle("bad", Boolean(saving.fault));
}

function show(card, picture) {
  const mark = marks.get(picture.id);
  if (mark) card.dataset.action = mark.action;
  else delete card.dataset.action;
  card.querySelector(".mark").textContent = markWords(mark);
  for (const button of card.querySelectorAll("button")) {
    const pressed = Boolean(mark) && mark.action === button.dataset.action && (!button.dataset.label || button.dataset.label === mark.label);
    button.setAttribute("aria-pressed", String(pressed));
  }
  card.querySelector("input").value = mark && mark.action === "relabel" ? mark.label : "";
}

// The same mark a second time takes it away.
function mark(card, picture, action, label) {
  const now = marks.get(picture.id);
  if (!action || (now && now.action === action && now.label === label)) marks.delete(picture.id);
  else marks.set(picture.id, label === undefined ? { action } : { action, label });
  save();
  show(card, picture);
  tell();
}

function makeCard(picture) {
  const name = (c) => data.classes[c];
  const differs = picture.suggested !== picture.given;
  const card = make("div", { class: "card", role: "listitem", tabindex: -1, "aria-label": picture.id });
  const button = (text, action, label) => make("button", {
    type: "button", class: "plain", "data-action": action, "data-label": label, onclick: () => mark(card, picture, action, label),
  }, text);
  const other = make("input", {
    list: "labels", placeholder: "another label", "aria-label": `another label for ${picture.id}`,
    onchange: (event) => {
      const label = event.target.value.trim();
      if (label === name(picture.given)) mark(card, picture, "keep");
      else if (data.classes.includes(label)) marks.delete(picture.id), mark(card, picture, "relabel", label);
      else if (label === "") mark(card, picture, "");
      else show(card, picture), (event.target.value = ""), (told.textContent = `no label is called ${label}`);
    },
  });
  card.append(
    figure(picture,
      make("span", {}, make("b", { class: differs ? "bad" : "good" }, name(picture.given)), ` ${percent(picture.p_given)}`),
      make("span", {}, "predicted ", make("b", {}, name(picture.suggested)), ` ${percent(picture.p_suggested)}`),
      make("span", { class: "id" }, picture.id + (data.parts.length > 1 ? `, ${picture.part}` : ""))),
    make("p", { class: "mark", "aria-live": "off" }),
    make("div", { class: "do" }, button("keep", "keep"), button("drop", "drop"),
      differs ? button(`\u2192 ${name(picture.suggested)}`, "relabel", name(picture.suggested)) : null, other));
  card.picture = picture;
  show(card, picture);
  return card;
}

function wanted(picture) {
  return (shown.label < 0 || picture.given === shown.label) && (!shown.part || picture.part === shown.part) &&
    (shown.all || picture.likely || marks.has(picture.id));
}

function draw() {
  const list = data.pictures.filter(wanted);
  grid.replaceChildren(...list.map(makeCard));
  if (grid.firstChild) grid.firstChild.tabIndex = 0;
  else grid.append(make("p", { class: "note" }, shown.all ? "No picture here." : "No label here is likely wrong."));
}

// --- keys ---------------------------------------------------------------------------------------------

function move(card, to) {
  if (!to || !to.classList.contains("card")) return;
  card.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

// How many cards stand in a row.
function columns() {
  const cards = [...grid.children], top = cards[0].offsetTop;
  const n = cards.findIndex((card) => card.offsetTop !== top);
  return n < 0 ? cards.length : n;
}

function pressed(event) {
  const card = event.target.closest(".card");
  if (!card || event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
  const picture = card.picture, cards = [...grid.children], at = cards.indexOf(card);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), Home: -at, End: cards.length - 1 - at }[event.key];
  if (step !== undefined) move(card, cards[at + step]);
  else if (event.key === "k") mark(card, picture, "keep");
  else if (event.key === "d") mark(card, picture, "drop");
  else if (event.key === "r" && picture.suggested !== picture.given) mark(card, picture, "relabel", data.classes[picture.suggested]);
  else if (event.key === "r" || event.key === "o") card.querySelector("input").focus();
  else if (event.key === "u" || event.key === "Backspace") mark(card, picture, "");
  else return;
  event.preventDefault();
}

// --- the page -----------------------------------------------------------------------------------------

function labelChoice() {
  const n = (c) => data.pictures.filter((picture) => picture.given === c).length;
  const select = make("select", { onchange: () => { shown.label = Number(select.value); draw(); } },
    make("option", { value: -1 }, "all labels"),
    ...data.classes.map((label, c) => (n(c) ? make("option", { value: c }, `${label} (${n(c)})`) : null)));
  return make("label", {}, "Label", select);
}

function begin() {
  const work = document.getElementById("work");
  load();
  work.append(
    make("h2", {}, "Mark labels"),
    make("datalist", { id: "labels" }, ...data.classes.map((label) => make("option", { value: label }))),
    make("div", { id: "bar" },
      make("div", {}, labelChoice(),
        data.parts.length > 1 ? choice("Part", [["both parts", () => { shown.part = ""; draw(); }],
          ...data.parts.map((part) => [part, () => { shown.part = part; draw(); }])]) : null,
        choice("Which pictures", [["likely wrong", () => { shown.all = false; draw(); }], ["all on this page", () => { shown.all = true; draw(); }]])),
      make("div", {}, told, make("button", { type: "button", class: "plain main", id: "download", onclick: download }, "Download clean.csv"),
        make("button", { type: "button", class: "plain", id: "clear", onclick: () => {
          if (marks.size && confirm(`Forget ${marks.size} mark${marks.size === 1 ? "" : "s"}?`)) { marks.clear(); save(); tell(); draw(); }
        } }, "Remove all marks")),
      make("p", { id: "keys", class: "note" }, "Keys on a picture: ", ...[["k", " keep, "], ["d", " drop, "], ["r", " relabel as predicted, "],
        ["o", " another label, "], ["u", " remove the mark, arrows move."]].flatMap(([key, text]) => [make("kbd", {}, key), text]))),
    grid);
  grid.addEventListener("keydown", pressed);
  grid.addEventListener("focusin", (event) => {
    const card = event.target.closest(".card");
    for (const other of grid.querySelectorAll('.card[tabindex="0"]')) other.tabIndex = -1;
    if (card) card.tabIndex = 0;
  });
  tell();
  draw();
  work.hidden = false;
}

if (data.pictures.length) begin();
