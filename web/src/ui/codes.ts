// The codes of a model with a table of codes: a grid of numbers on colours.

import { type Numbers } from "../arrays";
import { el } from "./dom";
import { type Loaded } from "./models";

export function codeGrid(model: Loaded, codes: Numbers): HTMLElement {
  const shape = model.programs.bound?.outputs["codes"]?.shape ?? model.programs.encode?.outputs["codes"]?.shape ?? [codes.length];
  const columns = columnsOf(shape, codes.length);
  const top = Math.max(1, ...codes);
  const cells = Array.from(codes, (code) => {
    const cell = el("span", {}, [String(code)]);
    cell.style.backgroundColor = `hsl(${Math.round((320 * code) / top)} 45% 86%)`;
    return cell;
  });
  const grid = el("div", { class: "codes", role: "img", "aria-label": `Codes: ${Array.from(codes).join(" ")}`, "data-testid": "codes" }, cells);
  grid.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
  return el("figure", {}, [grid, el("figcaption", {}, [`its ${codes.length} codes: numbers of entries of the table`])]);
}

function columnsOf(shape: readonly number[], count: number): number {
  const axes = shape.filter((length) => length > 1);
  if (axes.length > 1) return axes[axes.length - 1];
  const root = Math.sqrt(count);
  return Number.isInteger(root) ? root : Math.min(count, 16);
}
