// The comparison table: sort, filter, choose columns, save, and compare two runs.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const told = id => JSON.parse(document.getElementById(id).textContent);
const MINUS = "\u2212";

function made(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Sort the rows of a block by a column; empty values stay last.
for (const head of all("table.runs thead th[data-key]")) {
  head.querySelector("button").addEventListener("click", () => {
    const table = head.closest("table");
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const of = row => row.querySelector(`[data-column="${head.dataset.key}"]`);
    const compare = (a, b) => {
      const [x, y] = [of(a), of(b)];
      if (!x || !y) return x ? -1 : y ? 1 : 0;
      const [u, v] = [x.dataset.value, y.dataset.value];
      if (u === undefined || v === undefined) {
        if (u !== v) return u === undefined ? 1 : -1;
        return (down ? -1 : 1) * x.textContent.localeCompare(y.textContent);
      }
      return (down ? -1 : 1) * (u - v);
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  });
}

for (const choice of all("[data-choose]")) {
  choice.addEventListener("change", () => {
    for (const cell of all(`[data-key="${choice.dataset.choose}"], [data-column="${choice.dataset.choose}"]`)) cell.classList.toggle("on", choice.checked);
  });
}

const rows = all("table.runs tbody tr");
const filters = all("[data-filter]");

function filter() {
  const hidden = new Set();
  for (const row of rows) {
    row.hidden = filters.some(({dataset, value}) => {
      const cell = row.querySelector(`[data-column="${dataset.filter}"]`);
      return value !== "" && cell.firstChild.data.trim() !== value;
    });
    if (row.hidden) hidden.add(row.dataset.run);
  }
  for (const block of all(".block")) block.hidden = all("tbody tr", block).every(row => row.hidden);
  for (const point of all(".point")) point.classList.toggle("out", hidden.has(point.dataset.run));
}
for (const select of filters) select.addEventListener("change", filter);

// Save the runs that are shown, with all of their numbers.
function csv(records) {
  const cell = value => {
    if (typeof value !== "string") return value ?? "";
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value; // no formula for a spreadsheet
    return `"${text.replaceAll('"', '""')}"`;
  };
  const names = Object.keys(records[0] ?? {});
  return [names.join(","), ...records.map(record => names.map(name => cell(record[name])).join(","))].join("\r\n") + "\r\n";
}

for (const button of all("[data-save]")) {
  button.addEventListener("click", () => {
    const shown = new Set(rows.filter(row => !row.hidden).map(row => row.dataset.run));
    const records = told("records").filter(record => shown.has(record.run));
    const kind = button.dataset.save;
    const text = kind === "csv" ? csv(records) : JSON.stringify(records, null, 1);
    const url = URL.createObjectURL(new Blob([text], {type: kind === "csv" ? "text/csv" : "application/json"}));
    made("a", "", {href: url, download: `runs.${kind}`}).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
}

// Two runs of a block that are ticked: their difference, and their images.
const differences = told("differences");
let ticked = [];

function digits(value, half) {
  return Math.min(8, Math.max(0, half > 0 ? 1 - Math.floor(Math.log10(half)) : 3));
}
const written = (value, decimals) => value.toFixed(decimals).replace("-", MINUS);

// What is known about the difference of metric values i and j: its text, and whether one of them is better.
function difference(metric, i, j) {
  if (metric.kinds[i] !== metric.kinds[j]) return ["not comparable: other images, seed, K or note", ""];
  const gap = metric.values[i] - metric.values[j];
  const pairs = metric.halves.length > 0;
  let half = pairs ? metric.halves[Math.max(i, j)][Math.min(i, j)] : null;
  const errors = [metric.standard_errors[i], metric.standard_errors[j]];
  if (!pairs && !errors.includes(null)) half = 1.96 * Math.hypot(...errors);
  if (half === null) return [`${written(gap, 3)}, interval not known: the values of each image were not kept`, ""];
  const decimals = digits(gap, half);
  const text = `${written(gap, decimals)} \u00b1 ${written(half, decimals)} ${metric.unit}${pairs ? "" : " (not paired)"}`;
  if (metric.better === "neither") return [text, ""];
  if (Math.abs(gap) <= half) return [text, "not clear"];
  return [text, (gap < 0) === (metric.better === "lower") ? "first" : "second"];
}

function versus(block, names) {
  const panel = block.querySelector(".versus");
  const {runs, metrics} = differences[block.dataset.block];
  const [i, j] = names.map(name => runs.indexOf(name));
  const cards = names.map(name => all("details.run").find(card => card.dataset.run === name));
  const titles = cards.map(card => card.querySelector(".run-name").textContent);
  const table = made("table", "", {class: "duel"});
  const head = table.createTHead().insertRow();
  for (const text of ["metric", "first", "second", "first \u2212 second (95 %)", "better"]) head.append(made("th", text, {scope: "col"}));
  const body = table.createTBody();
  for (const metric of Object.values(metrics)) {
    const row = body.insertRow();
    const [text, better] = difference(metric, i, j);
    const decimals = digits(0, Math.min(...metric.standard_errors.map(se => se ?? 1e-3)));
    const cells = [metric.values[i], metric.values[j]].map(value => written(value, decimals));
    row.append(made("th", metric.name, {scope: "row"}));
    [...cells, text, better].forEach(cell => row.append(made("td", cell)));
  }
  const beside = made("div", "", {class: "beside"});
  cards.forEach((card, k) => {
    const figure = made("figure");
    figure.append(made("figcaption", `${["First", "Second"][k]}: ${titles[k]}`), card.querySelector(".strip img").cloneNode());
    beside.append(figure);
  });
  const note = made("p", "Differences are taken image by image over the same test images. The intervals do not cover other seeds. Images: test images, their reconstructions, samples.", {class: "legend"});
  panel.replaceChildren(made("h4", `${titles[0]} beside ${titles[1]}`), table, beside, note);
}

function compare() {
  const names = ticked.map(box => box.closest("tr").dataset.run);
  for (const element of all("[data-run]")) element.classList.toggle("chosen", names.includes(element.dataset.run));
  for (const panel of all(".versus")) panel.replaceChildren();
  if (ticked.length < 2) return;
  const blocks = ticked.map(box => box.closest(".block"));
  if (blocks[0] === blocks[1]) versus(blocks[0], names);
  else blocks[1].querySelector(".versus").append(made("p", "These two runs are in different blocks, so their numbers are not comparable."));
}

function tick(box) {
  ticked = ticked.filter(other => other !== box);
  if (box.checked) ticked.push(box);
  for (const old of ticked.splice(0, Math.max(0, ticked.length - 2))) old.checked = false;
  compare();
}
// On paper nothing is folded, except what is there to choose from.
const folded = [];
addEventListener("beforeprint", () => {
  for (const part of all("details:not([open]):not(.chooser)")) {
    part.open = true;
    folded.push(part);
  }
});
addEventListener("afterprint", () => {
  for (const part of folded.splice(0)) part.open = false;
});

for (const box of all(".tick input")) box.addEventListener("change", () => tick(box));
