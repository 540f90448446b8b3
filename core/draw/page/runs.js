// runs.js - the list of runs: a filter, and what is in progress is asked for again. SPDX-License-Identifier: MIT

const filter = make("input", { type: "search", placeholder: "name, status, set, ...", "aria-label": "show runs with these words", oninput: sift });
const found = make("span", { class: "note", role: "status" });

function sift() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelectorAll("#list tbody tr")];
  let n = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    n += !row.hidden;
  }
  found.textContent = words.length ? `${n} of ${rows.length} runs` : "";
}

// Ticks, the order and the filter stay.
function take(fresh) {
  const body = document.querySelector("#list tbody"), table = body.parentNode;
  const ticked = new Set([...body.querySelectorAll("input:checked")].map((box) => box.value));
  const focused = document.activeElement && document.activeElement.value;
  body.replaceChildren(...fresh.querySelectorAll("#list tbody tr"));
  for (const box of body.querySelectorAll("input")) {
    box.checked = ticked.has(box.value);
    if (focused && box.value === focused) box.focus();
  }
  for (const part of ["#summary", "#studies"]) {
    const here = document.querySelector(part), there = fresh.querySelector(part);
    if (here && there) here.replaceChildren(...there.childNodes);
    else if (there) document.querySelector("#summary").after(there);
  }
  if (table.sortAgain) table.sortAgain();
  sift();
}

document.getElementById("bar").append(make("label", {}, "Filter ", filter), found);
refresh(() => document.querySelector('#list tr[data-status="running"]') ? 5 : 30, take);
