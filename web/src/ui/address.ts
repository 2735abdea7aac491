// The state in the address: what stands after the "#".

import { type Axes, type State, type View } from "./state";
import { type Vector } from "./plane";

export type Kept = Pick<State, "model" | "z" | "view" | "axes" | "label" | "a" | "b" | "path" | "backdrop">;

export function written(kept: Kept): string {
  const parts: [string, string][] = [["model", String(kept.model)], ["z", numbers(kept.z)]];
  if (kept.a) parts.push(["a", numbers(kept.a)]);
  if (kept.b) parts.push(["b", numbers(kept.b)]);
  parts.push(["view", kept.view], ["axes", kept.axes === "principal" ? "principal" : kept.axes.join(",")]);
  parts.push(["label", String(kept.label)], ["path", kept.path]);
  if (kept.backdrop) parts.push(["images", "1"]);
  return "#" + parts.map(([key, value]) => `${key}=${value}`).join("&");
}

// What an address says of a page with these dimensions for each model; whatever makes no sense is left out.
export function read(hash: string, dimensions: readonly number[]): Partial<Kept> {
  const found = new Map(
    hash.replace(/^#/, "").split("&").map((part): [string, string] => {
      const at = part.indexOf("=");
      return [part.slice(0, at), part.slice(at + 1)];
    }),
  );
  const kept: Partial<Kept> = {};
  const model = whole(found.get("model"));
  if (model !== null && model < dimensions.length) kept.model = model;
  const size = dimensions[kept.model ?? 0];
  for (const key of ["z", "a", "b"] as const) {
    const vector = vectorOf(found.get(key), size);
    if (vector) kept[key] = vector;
  }
  const view = found.get("view");
  if (view === "mean" || view === "draw" || view === "spread") kept.view = view as View;
  const axes = axesOf(found.get("axes"), size);
  if (axes) kept.axes = axes;
  const label = Number(found.get("label"));
  if (found.has("label") && Number.isInteger(label)) kept.label = label;
  const path = found.get("path");
  if (path === "straight" || path === "circle") kept.path = path;
  if (found.get("images") === "1") kept.backdrop = true;
  return kept;
}

function numbers(z: Vector): string {
  return Array.from(z, (v) => String(Number(v.toFixed(3)))).join(",");
}

function vectorOf(text: string | undefined, size: number): Vector | null {
  if (!text) return null;
  const values = text.split(",").map(Number);
  return values.length === size && values.every((v) => Number.isFinite(v) && Math.abs(v) < 1e6) ? Float32Array.from(values) : null;
}

function axesOf(text: string | undefined, size: number): Axes | null {
  if (text === "principal") return size > 2 ? "principal" : null;
  const [a, b] = (text ?? "").split(",").map((part) => whole(part));
  return a !== null && b !== null && b !== undefined && a !== b && a < size && b < size ? [a, b] : null;
}

function whole(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : null;
}
