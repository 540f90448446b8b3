// study.js - a study's page: while runs are due or in progress, what is done is asked for again. SPDX-License-Identifier: MIT

// Rows are exchanged where there is a table already, so that it stays sorted.
function renew(here, fresh) {
  const tables = [...here.querySelectorAll("table.sort")], others = [...fresh.querySelectorAll("table.sort")];
  if (tables.length === 0 || tables.length !== others.length) {
    here.replaceChildren(...fresh.childNodes);
    here.querySelectorAll("table.sort").forEach(sortable);
    return;
  }
  tables.forEach((table, i) => {
    table.tBodies[0].replaceChildren(...others[i].tBodies[0].rows);
    table.sortAgain();
  });
  here.querySelectorAll(":scope > p").forEach((note) => note.remove());
  here.append(...fresh.querySelectorAll(":scope > p"));
}

function take(fresh) {
  const main = document.querySelector("main");
  let last = null;
  for (const section of [...fresh.querySelectorAll("main > section")]) {
    const here = document.getElementById(section.id);
    if (here) renew(here, section);
    else if (last) last.after(section); // the first runs are done
    else main.prepend(section);
    last = here || section;
  }
}

const waiting = () => document.querySelector('#runs [data-status="running"], #runs [data-status="due"]');
refresh(() => (waiting() ? 5 : 0), take);
