// run.js - a run's page: the matrix answers to mouse and keys with pictures, pairs show theirs.
// data: vocab, shown (classes of the matrix), pictures by falling loss. SPDX-License-Identifier: MIT

// Those that the page shows anyhow are not there twice.
data.pictures.forEach((picture, i) => {
  const shown = document.querySelector(`#picture-${i} img`);
  if (shown) picture.jpeg = shown.src.slice(shown.src.indexOf(",") + 1);
});

const named = (c) => (data.vocab[c].length > 100 ? data.vocab[c].slice(0, 100) + "\u2026" : data.vocab[c]);
const cellPictures = (actual, predicted) =>
  data.pictures.filter((p) => p.actual === actual && p.predicted === predicted);

function pictureFigure(picture) {
  const right = picture.actual === picture.predicted;
  const part = (name, className, share) =>
    make("span", {}, make("b", { class: className }, name), ` ${percent(share)}`);
  return figure(picture,
    part(named(picture.predicted), right ? "good" : "bad", picture.p_predicted),
    ...(right ? [] : [make("span", {}, `is ${named(picture.actual)} ${percent(picture.p_actual)}`)]),
    make("span", {}, `loss ${picture.loss.toFixed(2)}`),
    make("span", { class: "id" }, picture.id));
}

function matrix() {
  const table = document.getElementById("matrix");
  if (!table) return;
  const told = document.getElementById("told"), panel = document.getElementById("cell");
  const rows = [...table.tBodies[0].rows];
  const cell = (row, column) => rows[row].cells[column + 1];
  const place = (td) => [td.parentNode.sectionRowIndex, td.cellIndex - 1];
  const totals = rows.map((row) => [...row.cells].slice(1).reduce((sum, td) => sum + Number(td.textContent || 0), 0));
  const counts = rows.map((row) => [...row.cells].slice(1).map((td) => Number(td.textContent || 0)));

  const words = (row, column) => {
    const n = counts[row][column], actual = named(data.shown[row]), predicted = named(data.shown[column]);
    const share = totals[row] ? ` (${percent(n / totals[row])})` : "";
    return row === column ? `${actual}: ${n} of ${totals[row]} right${share}`
      : `${actual} taken for ${predicted}: ${n} of ${totals[row]}${share}`;
  };
  const mark = (td) => {
    for (const heading of table.querySelectorAll(".at")) heading.classList.remove("at");
    if (!td) return;
    const [row, column] = place(td);
    rows[row].cells[0].classList.add("at");
    table.tHead.rows[0].cells[column + 1].classList.add("at");
    told.textContent = words(row, column);
  };
  const open = (td) => {
    const [row, column] = place(td), n = counts[row][column];
    if (n === 0) return;
    for (const other of table.querySelectorAll(".open")) other.classList.remove("open");
    td.classList.add("open");
    const found = cellPictures(data.shown[row], data.shown[column]);
    const of = found.length < n ? ` The page has ${found.length} of them, those with the highest loss.` : "";
    panel.replaceChildren(make("h3", {}, words(row, column)),
      ...(of ? [make("p", { class: "note" }, of)] : []),
      make("div", { class: "pictures" }, ...found.map(pictureFigure)));
    panel.scrollIntoView({ block: "nearest" });
  };

  table.tBodies[0].setAttribute("role", "rowgroup");
  for (const row of rows) for (const td of [...row.cells].slice(1)) td.tabIndex = -1;
  cell(0, 0).tabIndex = 0;
  const target = (event) => (event.target.closest("td") && table.tBodies[0].contains(event.target) ? event.target.closest("td") : null);
  table.addEventListener("mouseover", (event) => mark(target(event)));
  table.addEventListener("focusin", (event) => mark(target(event)));
  table.addEventListener("click", (event) => target(event) && open(target(event)));
  table.addEventListener("keydown", (event) => {
    const td = target(event);
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!td || !(step || event.key === "Enter" || event.key === " ")) return;
    event.preventDefault();
    if (!step) return open(td);
    const [row, column] = place(td);
    const next = rows[row + step[0]] && cell(row + step[0], column + step[1]);
    if (!next || next.tagName !== "TD") return;
    td.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  const show = (text) => rows.forEach((row, i) => counts[i].forEach((n, k) => { if (n) cell(i, k).textContent = text(n, i); }));
  document.getElementById("views").append(choice("What the cells say", [
    ["counts", () => show((n) => n)],
    ["% of the row", () => show((n, i) => Math.round(100 * n / totals[i]))],
  ]));
  told.textContent = "Choose a cell, with the mouse or with arrow keys and Enter, to see its pictures.";
}

function pairs() {
  const table = document.getElementById("pairs-table");
  if (!table || !data.pictures.some((picture) => picture.jpeg)) return;
  table.tHead.rows[0].append(make("th", { scope: "col" }, "mistakes"), make("th", { scope: "col" }, "what they were taken for"));
  const strip = (list) => make("td", {}, make("div", { class: "strip" }, ...list.slice(0, 3).map(image).filter(Boolean)));
  for (const row of table.tBodies[0].rows) {
    const actual = Number(row.dataset.actual), predicted = Number(row.dataset.predicted);
    const known = data.pictures.filter((p) => p.actual === predicted);
    const rank = (p) => (p.actual === p.predicted ? 0 : 1) + p.loss / 1e6; // right ones first, the surest of them
    row.append(strip(cellPictures(actual, predicted)), strip(known.sort((a, b) => rank(a) - rank(b))));
  }
}

// Top losses as pictures or as class activation maps. A served page asks for the maps when they are first shown.
function maps() {
  const place = document.getElementById("cams");
  const boxes = [...document.querySelectorAll("#losses .picture > div")].filter((box) => box.querySelector("img"));
  if (!place || !boxes.length || !(served || document.querySelector("#losses .cam"))) return;
  const note = make("p", { class: "note", hidden: true }, "Where the network saw the class that it predicted (Grad-CAM), from blue, little, to red, most.");
  const show = (which) => {
    note.hidden = !which;
    for (const box of boxes) {
      const picture = box.querySelector("img:not(.cam)");
      let map = box.querySelector(".cam");
      if (!map && which && served) {
        const query = `run=${encodeURIComponent(servedRun)}&id=${encodeURIComponent(picture.alt)}&side=320`;
        box.append(map = make("img", { class: "cam opens", src: `/cam?${query}`, alt: picture.alt, tabindex: 0, width: 160, height: 160 }));
      }
      if (map) [map.hidden, picture.hidden] = [!which, which];
    }
  };
  place.append(choice("What is shown", [["pictures", () => show(false)], ["class activation maps", () => show(true)]]), note);
}

matrix();
pairs();
maps();

// --- served --------------------------------------------------------------------------------------------

// A run in progress: what changes is taken over; a page of other sections, or of a run that has ended, is loaded again.
function follow() {
  const ids = (page) => [...page.querySelectorAll("main section")].map((section) => section.id).join(" ");
  const status = (page) => page.querySelector("h1 .badge").textContent;
  refresh(() => (data.status === "running" ? 5 : 0), (fresh) => {
    if (ids(fresh) !== ids(document) || status(fresh) !== status(document)) return location.reload();
    for (const id of ["summary", "curves", "time"]) {
      const now = document.getElementById(id);
      if (now) now.replaceChildren(...fresh.getElementById(id).childNodes);
    }
  });
}

function predictions() {
  const told = make("p", { class: "note", role: "status" }), list = make("div", { class: "pictures" });
  const predict = async (file) => {
    told.textContent = `${file.name} ...`;
    try {
      const found = await send("/predict", servedRun, "application/octet-stream", file);
      const lines = found.best.map((x, i) => make("span", {}, i ? x.label : make("b", {}, x.label), ` ${percent(x.probability)}`));
      const shown = make("img", { src: found.cam ? `data:image/jpeg;base64,${found.cam}` : URL.createObjectURL(file), alt: file.name });
      const box = make("div", {}, shown);
      list.prepend(make("figure", { class: "picture" }, box, make("figcaption", {},
        ...lines.flatMap((line, i) => (i ? [make("br"), line] : [line])), make("br"), make("span", { class: "id" }, file.name))));
      told.textContent = "";
    } catch (error) {
      told.textContent = `${file.name}: ${error.message}`;
    }
  };
  const all = async (files) => { for (const file of files) await predict(file); };
  const input = make("input", { type: "file", accept: "image/*", multiple: true, id: "file", onchange: () => all([...input.files]) });
  const drop = make("label", { id: "drop", for: "file" }, "Drop pictures here, or choose files: ", input);
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); all([...event.dataTransfer.files]); });
  document.querySelector("main").append(make("section", { id: "predict" }, make("h2", {}, "Predict"), drop, told, list));
  document.querySelector("nav").append(make("a", { href: "#predict" }, "Predict"));
}

if (served) {
  const query = `run=${encodeURIComponent(servedRun)}`;
  const check = document.getElementById("verify");
  if (check) check.href = `/run?${query}&verify=1#origin`;
  if (data.vocab.length) document.querySelector("nav").append(make("a", { href: `/issues?${query}` }, "Labels that are likely wrong"));
  if (data.status === "done" && data.vocab.length) predictions();
  follow();
}
