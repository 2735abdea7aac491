// The map of latent space: one canvas that stays, one above it that follows the pointer.

import { currentAtlas, current, shownExample, shownPoint, type App } from "./app";
import { atlasOf, nearest, type Atlas } from "./atlas";
import { byId } from "./dom";
import { ofNormal, type Ellipse } from "./ellipse";
import { manifold, TILES } from "./manifold";
import { drawEllipse, drawMap, fromPixel, halo, toPixel, type Pen, type Scale } from "./mapdraw";
import { codeOf, type Posterior } from "./models";
import { between } from "./paths";
import { moved, project, type Point, type Vector } from "./plane";
import { onTheme, theme } from "./theme";

const KEYS: Record<string, Point> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const PIN = 9; // pixels, the radius of a pin
const STEP = 1 / 60; // of the map's width, for one press of an arrow key

export interface MapView {
  // Shows q(z|x) of an image, or nothing.
  showPosterior(posterior: Posterior | null): void;
}

export function mountMap(app: App): MapView {
  const { store } = app;
  const base = byId<HTMLCanvasElement>("map-base");
  const over = byId<HTMLCanvasElement>("map");
  let posterior: Posterior | null = null;
  const scale = (): Scale => ({ frame: currentAtlas(app).frame, size: over.clientWidth || 1 });

  const drawBase = (): void => {
    const pen = penOf(base, over.clientWidth);
    const { backdrop, points } = store.state;
    const images = backdrop ? manifold(app, drawBase) : [];
    drawMap(pen, scale(), currentAtlas(app), current(app), theme(), { backdrop: images, tiles: TILES, points });
  };
  const drawOver = (): void => {
    const pen = penOf(over, over.clientWidth);
    drawOverlay(pen, scale(), app, posterior);
  };
  const drawAll = (): void => {
    drawBase();
    drawOver();
  };

  store.on(["model", "axes", "backdrop", "points"], drawAll);
  store.on(["z", "label"], () => store.state.backdrop && drawBase());
  store.on(["z", "hover", "a", "b", "path", "example", "own"], drawOver);
  onTheme(drawAll);
  addEventListener("beforeprint", () => copyForPrint(base, over));
  new ResizeObserver(drawAll).observe(over);
  listen(app, over, scale);
  return {
    showPosterior(shown) {
      posterior = shown;
      drawOver();
    },
  };
}

function penOf(canvas: HTMLCanvasElement, size: number): Pen {
  const dense = Math.max(1, devicePixelRatio || 1);
  const pixels = Math.max(1, Math.round(size * dense));
  canvas.width = canvas.height = pixels; // clears it
  const pen = canvas.getContext("2d")!;
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  return pen;
}

// Chromium prints the strokes of a canvas again, at a wrong scale; what was put into one as pixels is printed as it is.
function copyForPrint(base: HTMLCanvasElement, over: HTMLCanvasElement): void {
  const joined = document.createElement("canvas");
  const copy = byId<HTMLCanvasElement>("map-print");
  joined.width = joined.height = copy.width = copy.height = base.width;
  const pen = joined.getContext("2d")!;
  for (const layer of [base, over]) pen.drawImage(layer, 0, 0);
  copy.getContext("2d")!.putImageData(pen.getImageData(0, 0, base.width, base.width), 0, 0);
}

// The z at a place on the map. Codes of a table have no places between them: the nearest one is taken.
// The dimensions that the map does not show are those of `from`.
export function zAt(app: App, at: Point, from = app.store.state.z): Vector {
  const model = current(app);
  const atlas = currentAtlas(app);
  if (model.support !== "codes") return moved(atlas.plane, from, at);
  const index = nearest(atlas, at, model.count);
  return index < 0 ? app.store.state.z : codeOf(model, index);
}

function listen(app: App, canvas: HTMLCanvasElement, scale: () => Scale): void {
  const { store } = app;
  const at = (event: PointerEvent): Point => fromPixel(scale(), [event.offsetX, event.offsetY]);
  let held: "z" | "a" | "b" | null = null;
  const pinAt = ({ offsetX, offsetY }: PointerEvent): "a" | "b" | undefined =>
    (["b", "a"] as const).find((name) => {
      const z = store.state[name];
      const [x, y] = z ? toPixel(scale(), project(currentAtlas(app).plane, z)) : [Infinity, Infinity];
      return Math.hypot(x - offsetX, y - offsetY) <= PIN;
    });
  const drag = (event: PointerEvent, name: "z" | "a" | "b"): void => {
    const z = zAt(app, at(event), store.state[name] ?? undefined);
    store.set({ [name]: z, hover: name === "z" ? null : z });
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    held = pinAt(event) ?? "z";
    if (held === "z") drag(event, held); // a pin stays until the pointer moves
    store.set({ example: null });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held) drag(event, held);
    else if (event.pointerType === "mouse") store.set({ hover: zAt(app, at(event)), example: null });
  });
  const up = (): void => {
    held = null;
    store.set({ hover: null });
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => store.set({ hover: null }));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = KEYS[event.key];
    const { z } = store.state;
    if (direction) {
      const step = 2 * scale().frame.half * STEP * (event.shiftKey ? 5 : 1);
      const [x, y] = project(currentAtlas(app).plane, z);
      store.set({ z: stepped(app, [x + step * direction[0], y + step * direction[1]], direction), hover: null, example: null });
    } else if (event.key === "a" || event.key === "b") store.set(event.key === "a" ? { a: z } : { b: z });
    else if (event.key === "Home") store.set({ z: zAt(app, project(currentAtlas(app).plane, current(app).priorMean)), example: null });
    else return;
    event.preventDefault();
  });
}

// One step with a key. Between codes of a table, it leads to the nearest one in that direction.
function stepped(app: App, to: Point, [dx, dy]: Point): Vector {
  const model = current(app);
  if (model.support !== "codes") return zAt(app, to);
  const atlas = currentAtlas(app);
  const [x, y] = project(atlas.plane, app.store.state.z);
  let [best, least] = [-1, Infinity];
  atlas.points.forEach(([px, py], i) => {
    const along = (px - x) * dx + (py - y) * dy;
    const beside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    if (along > 1e-6 && beside <= along && along + beside < least) [best, least] = [i, along + beside];
  });
  return best < 0 ? app.store.state.z : codeOf(model, best);
}

function drawOverlay(pen: Pen, scale: Scale, app: App, posterior: Posterior | null): void {
  const { state } = app.store;
  const atlas = atlasOf(current(app), state.axes);
  const colours = theme();
  if (state.a && state.b && current(app).support !== "codes") path(pen, scale, atlas, app);
  pen.strokeStyle = colours.ink;
  if (posterior) drawPosterior(pen, scale, atlas, posterior, colours.accent);
  const example = shownExample(app);
  if (example >= 0) ring(pen, toPixel(scale, atlas.points[example]), 6, colours.ink);
  for (const [name, z] of [["A", state.a], ["B", state.b]] as const) {
    if (z) pin(pen, toPixel(scale, project(atlas.plane, z)), name, colours.ink, colours.paper);
  }
  const set = toPixel(scale, project(atlas.plane, state.z));
  if (state.hover) ring(pen, set, 4, colours.muted);
  crosshair(pen, toPixel(scale, shownPoint(app)), colours.ink, colours.paper);
  pen.fillStyle = colours.accent;
  pen.font = "600 13px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  if (posterior) {
    const [x, y] = toPixel(scale, project(atlas.plane, posterior.mean));
    halo(pen, "your image", Math.min(scale.size - 40, Math.max(40, x)), Math.max(18, y - 8), colours);
  }
}

function drawPosterior(pen: Pen, scale: Scale, atlas: Atlas, { mean, scale: spread }: Posterior, colour: string): void {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 2;
  const [x, y] = toPixel(scale, project(atlas.plane, mean));
  pen.beginPath();
  pen.arc(x, y, 3, 0, 2 * Math.PI);
  pen.fill();
  if (!spread || atlas.plane.radius > 0) return;
  const ellipse: Ellipse = ofNormal(atlas.plane, mean, spread);
  for (const times of [1, 2]) drawEllipse(pen, scale, ellipse, times);
}

function path(pen: Pen, scale: Scale, atlas: Atlas, { store: { state } }: App): void {
  pen.strokeStyle = theme().ink;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (let i = 0; i <= 40; i++) {
    const z = between(state.path, state.a!, state.b!, i / 40);
    const [x, y] = toPixel(scale, project(atlas.plane, z));
    if (i === 0) pen.moveTo(x, y);
    else pen.lineTo(x, y);
  }
  pen.stroke();
}

function ring(pen: Pen, [x, y]: Point, radius: number, colour: string): void {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.stroke();
}

function pin(pen: Pen, [x, y]: Point, name: string, ink: string, paper: string): void {
  pen.fillStyle = ink;
  pen.strokeStyle = paper;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, PIN, 0, 2 * Math.PI);
  pen.fill();
  pen.stroke();
  pen.fillStyle = paper;
  pen.font = "700 11px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(name, x, y + 0.5);
}

function crosshair(pen: Pen, [x, y]: Point, ink: string, paper: string): void {
  for (const [colour, width] of [[paper, 5], [ink, 2]] as const) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.arc(x, y, 7, 0, 2 * Math.PI);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + 4 * dx, y + 4 * dy);
      pen.lineTo(x + 12 * dx, y + 12 * dy);
    }
    pen.stroke();
  }
}

