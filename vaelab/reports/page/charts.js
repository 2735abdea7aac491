// Charts: the numbers of a mark on hover and on focus, the same run everywhere, and a tick by a click.
const hint = made("div", "", {class: "hint", hidden: ""});
document.body.append(hint);

const marked = new Map();
for (const element of all(".point, table.runs tbody tr")) {
  const of = marked.get(element.dataset.run) ?? [];
  marked.set(element.dataset.run, [...of, element]);
}

function light(run) {
  for (const element of all(".lit")) element.classList.remove("lit");
  for (const element of marked.get(run) ?? []) element.classList.add("lit");
  for (const charts of all(".charts")) charts.classList.toggle("brushed", run !== null && charts.querySelector(".lit") !== null);
}

function show(text, x, y) {
  hint.textContent = text;
  hint.hidden = false;
  const {width, height} = hint.getBoundingClientRect();
  hint.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - width - 4))}px`;
  hint.style.top = `${y + height + 20 < innerHeight ? y + 14 : y - height - 10}px`;
}

// The value of a learning curve at the nearest of its points.
function read(line, event) {
  const chart = line.ownerSVGElement;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
  const [lowX, highX, startX, endX, lowY, highY, startY, endY] = chart.dataset.axes.split(" ").map(Number);
  const nearest = [...line.points].reduce((a, b) => (Math.abs(b.x - at.x) < Math.abs(a.x - at.x) ? b : a));
  const epoch = lowX + ((nearest.x - startX) / (endX - startX)) * (highX - lowX);
  const value = lowY + ((nearest.y - startY) / (endY - startY)) * (highY - lowY);
  return `epoch ${epoch.toFixed(epoch < 10 ? 1 : 0)}: ${line.dataset.of} ${written(value, digits(0, (highY - lowY) / 100))} nats. `;
}

for (const point of all(".point")) {
  const says = point.getAttribute("aria-label");
  point.addEventListener("pointermove", event => {
    light(point.dataset.run);
    show((event.target.dataset.of ? read(event.target, event) : "") + says, event.clientX, event.clientY);
  });
  point.addEventListener("focus", () => {
    const {left, bottom} = point.getBoundingClientRect();
    light(point.dataset.run);
    show(says, left, bottom);
  });
  for (const kind of ["pointerleave", "blur"]) {
    point.addEventListener(kind, () => {
      light(null);
      hint.hidden = true;
    });
  }
  const toggle = () => marked.get(point.dataset.run).find(element => element.tagName === "TR")?.querySelector(".tick input")?.click();
  point.addEventListener("click", toggle);
  point.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      toggle();
    }
  });
}
for (const row of rows) {
  row.addEventListener("pointerenter", () => light(row.dataset.run));
  row.addEventListener("pointerleave", () => light(null));
}

// One stop of the Tab key for each chart; arrow keys go from mark to mark.
for (const chart of all("svg.chart")) {
  const points = all(".point", chart);
  points.forEach((point, i) => point.setAttribute("tabindex", i ? -1 : 0));
  chart.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const shown = points.filter(point => !point.classList.contains("out"));
    const at = shown.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    shown[at].setAttribute("tabindex", -1);
    const next = shown[(at + step + shown.length) % shown.length];
    next.setAttribute("tabindex", 0);
    next.focus();
  });
}
