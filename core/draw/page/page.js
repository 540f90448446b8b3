// page.js - what every page's script works with. Nothing here is needed to read a page: without scripts all tables,
// drawings and top losses are there. SPDX-License-Identifier: MIT
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

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
  const key = (row, column) => row.cells[column].textContent.trim();
  const compare = (a, b) => {
    const x = parseFloat(a), y = parseFloat(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  const sort = (heading, column) => {
    const down = heading.getAttribute("aria-sort") === "ascending" ||
      (!heading.hasAttribute("aria-sort") && heading.classList.contains("n"));
    const sorted = [...body.rows].sort((a, b) => {
      const x = key(a, column), y = key(b, column);
      if (x === "" || y === "") return (x === "") - (y === ""); // what is not known comes last
      return down ? compare(y, x) : compare(x, y);
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...sorted);
  };
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = make("button", { type: "button", title: "sort", onclick: () => sort(heading, column) });
    button.append(...heading.childNodes);
    heading.append(button);
  });
}
document.querySelectorAll("table.sort").forEach(sortable);

// What scrolls can be reached with the keyboard.
for (const box of document.querySelectorAll(".wide")) {
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
}
