// Sort the comparison table by a column, within each block; empty values stay last.
const table = document.querySelector("table.runs");
const heads = [...table.tHead.rows[0].cells];
heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
  const down = head.getAttribute("aria-sort") === "ascending";
  heads.forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const compare = (a, b) => {
    const [x, y] = [a, b].map(row => row.cells[column]);
    if (!x || !y) return x ? -1 : y ? 1 : 0;
    const [u, v] = [x, y].map(cell => cell.dataset.value);
    if (u === undefined || v === undefined) {
      if (u !== v) return u === undefined ? 1 : -1;
      return (down ? -1 : 1) * x.textContent.localeCompare(y.textContent);
    }
    return (down ? -1 : 1) * (u - v);
  };
  for (const body of table.tBodies) {
    const [title, ...rows] = body.rows;
    body.append(title, ...rows.sort(compare));
  }
}));
