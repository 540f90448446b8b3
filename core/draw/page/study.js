// study.js - a study's page: while runs are due or in progress, what is done is asked for again. SPDX-License-Identifier: MIT

const heads = (tables) => JSON.stringify(tables.map((table) => [...table.tHead.rows[0].cells].map((cell) => cell.textContent)));

// Rows are exchanged where the tables have the same columns, so that they stay sorted; else the section as a whole.
function renew(here, fresh) {
  const tables = [...here.querySelectorAll("table.sort")], others = [...fresh.querySelectorAll("table.sort")];
  if (tables.length === 0 || heads(tables) !== heads(others)) {
    here.replaceChildren(...fresh.childNodes);
    enliven(here);
    return;
  }
  tables.forEach((table, i) => {
    table.tBodies[0].replaceChildren(...others[i].tBodies[0].rows);
    table.sortAgain();
  });
  here.querySelectorAll(":scope > p").forEach((note) => note.remove());
  here.append(...fresh.querySelectorAll(":scope > p"));
}

// Sections come with the first runs that are done, and go with runs that are deleted.
function take(fresh) {
  const sections = [...fresh.querySelectorAll("main > section")], ids = sections.map((section) => section.id);
  let last = null;
  for (const here of document.querySelectorAll("main > section")) {
    if (!ids.includes(here.id)) here.remove();
  }
  for (const section of sections) {
    const here = document.getElementById(section.id);
    if (here) {
      renew(here, section);
    } else {
      last.after(section); // the summary is always there
      enliven(section);
    }
    last = here || section;
  }
}

const waiting = () => document.querySelector('#runs [data-status="running"], #runs [data-status="due"]');
refresh(() => (waiting() ? 5 : 0), take);
