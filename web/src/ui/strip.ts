// Two pinned places, and the images on the way from one to the other.

import { current, labelFor, type App } from "./app";
import { byId, button, choices, el, fixed } from "./dom";
import { codeOf, type Loaded } from "./models";
import { paint, imageCanvas } from "./paint";
import { between } from "./paths";
import { norm, type Vector } from "./plane";

const IMAGES = 9;

export function mountStrip(app: App): void {
  const { store } = app;
  const tools = (): void => byId("pin-tools").replaceChildren(
    button("Pin A here", () => store.set({ a: store.state.z }), { "data-testid": "pin-a" }),
    button("Pin B here", () => store.set({ b: store.state.z }), { "data-testid": "pin-b" }),
    button("swap", () => store.set({ a: store.state.b, b: store.state.a }), { class: "quiet", "data-testid": "pin-swap" }),
    button("remove", () => store.set({ a: null, b: null }), { class: "quiet", "data-testid": "pin-clear" }),
    ...(current(app).support === "codes" ? [] : [way(app)]),
  );
  store.on(["model"], tools);
  tools();
  let turn = 0;
  const draw = async (): Promise<void> => {
    const model = current(app);
    const { a, b, path, label } = store.state;
    const mine = ++turn;
    if (!a || !b) {
      byId("strip").replaceChildren();
      byId("strip-note").textContent = "Pin two places of the map, A and B: the images on the way between them appear here.";
      return;
    }
    const stops = Array.from({ length: IMAGES }, (_, i) => (model.support === "codes" && i > 0 && i < IMAGES - 1 ? null : i));
    const made: HTMLElement[] = [];
    for (const i of stops.filter((stop) => stop !== null)) {
      const t = i / (IMAGES - 1);
      const z = onSupport(model, between(path, a, b, t));
      const numbers = await app.asker.decode(model, z, labelFor(model, label), "mean", `strip ${i}`);
      if (mine !== turn || !numbers) return;
      const canvas = imageCanvas(model.image, 112, "", "strip-image");
      canvas.setAttribute("aria-hidden", "true");
      paint(canvas, numbers, model.image);
      const name = i === 0 ? "A" : i === IMAGES - 1 ? "B" : fixed(t, 3).replace(/0+$/, "");
      const go = el("button", { type: "button", class: "image", "aria-label": `Go to ${name} on the way` }, [canvas, name]);
      go.addEventListener("click", () => store.set({ z, hover: null, example: null }));
      made.push(go);
    }
    byId("strip").replaceChildren(...made);
    byId("strip-note").textContent = note(model, a, b);
  };
  store.on(["model", "a", "b", "path", "label"], () => void draw());
  void draw();
}

function way({ store }: App): HTMLElement {
  const ways = [["straight", "straight line"], ["circle", "great circle"]] as const;
  return choices("path", "Way from A to B", ways, store.state.path, (path) => store.set({ path }));
}

function note(model: Loaded, a: Vector, b: Vector): string {
  if (model.support === "codes") return "Codes of a table have nothing between them: A and B only.";
  const distance = norm(a.map((v, i) => v - b[i]));
  return `From A to B it is ${fixed(distance)} units of z. Click an image to go there.`;
}

function onSupport(model: Loaded, z: Vector): Vector {
  if (model.radius === 0) return z;
  const scale = model.radius / (norm(z) || 1);
  return z.map((v) => v * scale);
}

// Two codes of different classes, so that the strip shows something at first: those nearest to the means of their classes.
export function firstPins(model: Loaded): [Vector, Vector] | null {
  if (model.count < 2) return null;
  if (model.codeLabels.length === 0 || model.classes.length < 2) return [codeOf(model, 0), codeOf(model, 1)];
  const typical = model.classes.map((_, index) => {
    const own = Array.from({ length: model.count }, (_, i) => i).filter((i) => model.codeLabels[i] === index);
    if (own.length === 0) return null;
    const codes = own.map((i) => codeOf(model, i));
    const mean = codes[0].map((_, d) => codes.reduce((sum, code) => sum + code[d], 0) / codes.length);
    const distance = (code: Vector): number => norm(code.map((v, d) => v - mean[d]));
    return codes.reduce((best, code) => (distance(code) < distance(best) ? code : best));
  });
  const found = typical.filter((code) => code !== null);
  if (found.length < 2) return null;
  let best: [Vector, Vector] = [found[0], found[1]];
  const apart = ([p, q]: [Vector, Vector]): number => norm(p.map((v, d) => v - q[d]));
  found.forEach((p, i) => found.slice(i + 1).forEach((q) => (best = apart([p, q]) > apart(best) ? [p, q] : best)));
  return best;
}
