// The part of the map that stays while one moves over it.

import { REACH, placeOf, type Atlas } from "./atlas";
import { classColour } from "./colours";
import { fixed, shortened } from "./dom";
import { type Frame } from "./density";
import { type Ellipse } from "./ellipse";
import { isDark, type Loaded } from "./models";
import { type Point } from "./plane";
import { type Theme } from "./theme";

export type Pen = CanvasRenderingContext2D;

// From the units of the map to CSS pixels of a square canvas.
export interface Scale {
  frame: Frame;
  size: number;
}

export function toPixel({ frame, size }: Scale, [x, y]: Point): Point {
  return [((x - frame.x + frame.half) / (2 * frame.half)) * size, ((frame.y + frame.half - y) / (2 * frame.half)) * size];
}

export function fromPixel({ frame, size }: Scale, [px, py]: Point): Point {
  return [frame.x - frame.half + (px / size) * 2 * frame.half, frame.y + frame.half - (py / size) * 2 * frame.half];
}

// Lines over the images of the backdrop
const OVER_DARK = { muted: "rgba(255, 255, 255, 0.9)", hatch: "rgba(255, 255, 255, 0.55)" };
const OVER_LIGHT = { muted: "rgba(0, 0, 0, 0.9)", hatch: "rgba(0, 0, 0, 0.5)" };

export interface Layers {
  backdrop: readonly { at: Point; image: HTMLCanvasElement }[]; // images by the middle of their tile
  tiles: number; // on each side
  points: boolean;
}

export function drawMap(pen: Pen, scale: Scale, atlas: Atlas, model: Loaded, colours: Theme, layers: Layers): void {
  const { size } = scale;
  pen.fillStyle = colours.paper;
  pen.fillRect(0, 0, size, size);
  shade(pen, scale, atlas, colours);
  const tiled = layers.backdrop.length > 0;
  if (tiled) drawTiles(pen, scale, layers);
  const lines = tiled ? { ...colours, ...(isDark(model) ? OVER_DARK : OVER_LIGHT) } : colours;
  hatch(pen, scale, atlas, lines);
  contours(pen, scale, atlas, lines);
  if (layers.points) drawPoints(pen, scale, atlas, model, colours, tiled ? 0.55 : 0.8);
  axes(pen, scale, colours);
  if (layers.points) names(pen, scale, atlas, model, colours);
}

function shade(pen: Pen, { size }: Scale, { density }: Atlas, colours: Theme): void {
  const { cells, values } = density;
  const small = document.createElement("canvas");
  small.width = small.height = cells;
  const image = new ImageData(cells, cells);
  const [r, g, b] = colours.density.split(/[ ,]+/).map(Number);
  for (let y = 0; y < cells; y++) {
    for (let x = 0; x < cells; x++) {
      const at = 4 * ((cells - 1 - y) * cells + x);
      image.data.set([r, g, b, 150 * Math.sqrt(values[y * cells + x])], at);
    }
  }
  small.getContext("2d")!.putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(small, 0, 0, size, size);
}

function drawTiles(pen: Pen, scale: Scale, { backdrop, tiles }: Layers): void {
  const side = scale.size / tiles;
  pen.imageSmoothingEnabled = false;
  pen.globalAlpha = 0.85;
  for (const { at, image } of backdrop) {
    const [x, y] = toPixel(scale, at);
    pen.drawImage(image, x - side / 2, y - side / 2, side, side);
  }
  pen.globalAlpha = 1;
}

// Diagonal lines over the holes.
function hatch(pen: Pen, scale: Scale, atlas: Atlas, colours: Theme): void {
  const { size } = scale;
  const step = 3;
  pen.save();
  pen.beginPath();
  for (let y = 0; y < size; y += step) {
    let start = -1;
    for (let x = 0; x <= size; x += step) {
      const inside = x < size && placeOf(atlas, fromPixel(scale, [x + step / 2, y + step / 2])) === "hole";
      if (inside && start < 0) start = x;
      if (!inside && start >= 0) {
        pen.rect(start, y, x - start, step);
        start = -1;
      }
    }
  }
  pen.clip();
  pen.beginPath();
  for (let offset = -size; offset < size; offset += 8) {
    pen.moveTo(offset, size);
    pen.lineTo(offset + size, 0);
  }
  pen.strokeStyle = colours.hatch;
  pen.lineWidth = 1;
  pen.stroke();
  pen.restore();
}

export function drawEllipse(pen: Pen, scale: Scale, ellipse: Ellipse, times: number): void {
  const [x, y] = toPixel(scale, [ellipse.x, ellipse.y]);
  const unit = (times * scale.size) / (2 * scale.frame.half);
  pen.beginPath();
  pen.ellipse(x, y, Math.max(1, ellipse.major * unit), Math.max(1, ellipse.minor * unit), -ellipse.angle, 0, 2 * Math.PI);
  pen.stroke();
}

function contours(pen: Pen, scale: Scale, { prior, plane }: Atlas, colours: Theme): void {
  pen.strokeStyle = colours.muted;
  pen.lineWidth = 1;
  if (plane.radius > 0) drawEllipse(pen, scale, { x: 0, y: 0, major: plane.radius, minor: plane.radius, angle: 0 }, 1);
  if (!prior) return;
  pen.setLineDash([5, 4]);
  for (let times = 1; times <= REACH; times++) {
    if (plane.radius === 0 || times * prior.major < plane.radius) drawEllipse(pen, scale, prior, times);
  }
  pen.setLineDash([]);
}

const PICTURED = 3.4; // radius of the codes whose images the page has

function drawPoints(pen: Pen, scale: Scale, atlas: Atlas, model: Loaded, colours: Theme, alpha: number): void {
  const many = model.classes.length;
  const radius = atlas.points.length > 2000 ? 1.5 : 2.2;
  pen.globalAlpha = alpha;
  atlas.points.forEach((point, i) => {
    const [x, y] = toPixel(scale, point);
    const index = model.codeLabels[i];
    pen.fillStyle = index === undefined ? colours.accent : classColour(index, many, colours.dark);
    pen.beginPath();
    pen.arc(x, y, i < model.exampleCount ? PICTURED : radius, 0, 2 * Math.PI);
    pen.fill();
  });
  pen.globalAlpha = 1;
}

// Ticks along the lower and the left edge.
function axes(pen: Pen, scale: Scale, colours: Theme): void {
  const { frame, size } = scale;
  const step = tickStep(2 * frame.half);
  pen.fillStyle = colours.muted;
  pen.strokeStyle = colours.muted;
  pen.lineWidth = 1;
  pen.font = "11px system-ui, sans-serif";
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  for (const axis of [0, 1]) {
    const middle = axis === 0 ? frame.x : frame.y;
    for (let v = Math.ceil((middle - frame.half * 0.9) / step) * step; v <= middle + frame.half * 0.9; v += step) {
      const [x, y] = toPixel(scale, axis === 0 ? [v, frame.y] : [frame.x, v]);
      pen.textAlign = axis === 0 ? "center" : "left";
      pen.textBaseline = axis === 0 ? "bottom" : "middle";
      halo(pen, fixed(v, digits), axis === 0 ? x : 8, axis === 0 ? size - 7 : y, colours);
      pen.beginPath();
      pen.moveTo(axis === 0 ? x : 0, axis === 0 ? size : y);
      pen.lineTo(axis === 0 ? x : 5, axis === 0 ? size - 5 : y);
      pen.stroke();
    }
  }
}

export function tickStep(span: number): number {
  const rough = span / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10);
}

export function halo(pen: Pen, text: string, x: number, y: number, colours: Theme): void {
  pen.save();
  pen.lineWidth = 4;
  pen.lineJoin = "round";
  pen.strokeStyle = colours.paper;
  pen.strokeText(text, x, y);
  pen.restore();
  pen.fillText(text, x, y);
}

function names(pen: Pen, scale: Scale, atlas: Atlas, model: Loaded, colours: Theme): void {
  pen.font = "600 15px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const boxes = atlas.names.map(({ text, at, index }) => {
    const shown = shortened(text, 14);
    const [x, y] = toPixel(scale, at);
    const half = pen.measureText(shown).width / 2 + 7;
    return { shown, index, half, x: Math.min(scale.size - half, Math.max(half, x)), y: Math.min(scale.size - 34, Math.max(12, y)) };
  });
  spreadOut(boxes);
  for (const { shown, index, x, y } of boxes) {
    const half = pen.measureText(shown).width / 2 + 5;
    pen.beginPath();
    pen.roundRect(x - half, y - 10, 2 * half, 20, 5);
    pen.fillStyle = colours.paper;
    pen.fill();
    pen.strokeStyle = classColour(index, model.classes.length, colours.dark);
    pen.lineWidth = 2.5;
    pen.stroke();
    pen.fillStyle = colours.ink;
    pen.fillText(shown, x, y + 1);
  }
}

// Moves names that cover each other apart, up and down.
function spreadOut(boxes: { half: number; x: number; y: number }[]): void {
  const height = 25;
  for (let round = 0; round < 30; round++) {
    let calm = true;
    boxes.forEach((a, i) => {
      for (const b of boxes.slice(i + 1)) {
        if (Math.abs(a.x - b.x) >= a.half + b.half || Math.abs(a.y - b.y) >= height) continue;
        const push = (height - Math.abs(a.y - b.y)) / 2 + 0.5;
        const sign = a.y <= b.y ? 1 : -1;
        a.y -= sign * push;
        b.y += sign * push;
        calm = false;
      }
    });
    if (calm) return;
  }
}
