// Where data lie on the map: a kernel estimate of the density of the codes on a grid.

import { quantile } from "./statistics";
import { type Point } from "./plane";

// The square of the map, in its own units: centre and half of its width.
export interface Frame {
  x: number;
  y: number;
  half: number;
}

export interface Density {
  frame: Frame;
  cells: number; // on each side
  values: Float32Array; // [cells, cells], from the bottom row up; 1 at the densest cell
  top: number; // codes in the densest cell
  low: number; // 99 % of the codes lie where the density is above this
}

export const CELLS = 120;
const COVERED = 0.99;
const MANY = 1000; // codes

// Scott's rule for the spread of the codes; of many codes times 0.6, as classes make them lumpier than one normal
// distribution. Of few codes, gaps say nothing.
export function bandwidth(points: readonly Point[]): number {
  const n = points.length;
  if (n < 2) return 1;
  const spread = [0, 1].map((axis) => {
    const sorted = Float32Array.from(points, (p) => p[axis]).sort();
    return (quantile(sorted, 0.84) - quantile(sorted, 0.16)) / 2;
  });
  return (n < MANY ? 1 : 0.6) * Math.max(1e-9, Math.sqrt((spread[0] ** 2 + spread[1] ** 2) / 2)) * n ** (-1 / 6);
}

export function densityOf(points: readonly Point[], frame: Frame, width = bandwidth(points), cells = CELLS): Density {
  const counts = new Float32Array(cells * cells);
  const size = (2 * frame.half) / cells;
  for (const point of points) {
    const cell = cellOf(frame, cells, point);
    if (cell >= 0) counts[cell]++;
  }
  const kernel = gaussian(Math.max(0.5, width / size));
  const values = blurred(blurred(counts, cells, kernel, 1), cells, kernel, cells);
  const top = values.reduce((best, v) => Math.max(best, v), 0) || 1;
  const density = { frame, cells, values: values.map((v) => v / top), top, low: 0 };
  const own = Float32Array.from(points.filter((p) => cellOf(frame, cells, p) >= 0), (p) => densityAt(density, p)).sort();
  return { ...density, low: own.length > 0 ? quantile(own, 1 - COVERED) : 0 };
}

export function cellOf({ x, y, half }: Frame, cells: number, [px, py]: Point): number {
  const column = Math.floor(((px - x + half) / (2 * half)) * cells);
  const row = Math.floor(((py - y + half) / (2 * half)) * cells);
  return column < 0 || row < 0 || column >= cells || row >= cells ? -1 : row * cells + column;
}

export function densityAt({ frame, cells, values }: Density, point: Point): number {
  const cell = cellOf(frame, cells, point);
  return cell < 0 ? 0 : values[cell];
}

// Whether hardly any data lie there.
export function isEmpty(density: Density, point: Point): boolean {
  return densityAt(density, point) < density.low;
}

// Where a class is named: where its codes are dense, and most of the codes there are its own.
export function peak({ frame, cells, values, top }: Density, all: Density): Point {
  const score = values.map((v, i) => (v > 0 ? (v * top) ** 2 / (all.values[i] * all.top) : 0));
  let best = 0;
  score.forEach((v, i) => (best = v > score[best] ? i : best));
  const size = (2 * frame.half) / cells;
  return [frame.x - frame.half + ((best % cells) + 0.5) * size, frame.y - frame.half + (Math.floor(best / cells) + 0.5) * size];
}

function gaussian(sigma: number): Float32Array {
  const reach = Math.ceil(4 * sigma);
  const weights = Float32Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-0.5 * ((i - reach) / sigma) ** 2));
  const sum = weights.reduce((total, w) => total + w, 0);
  return weights.map((w) => w / sum);
}

// Along rows (step 1) or columns (step `cells`).
function blurred(from: Float32Array, cells: number, kernel: Float32Array, step: number): Float32Array {
  const reach = (kernel.length - 1) / 2;
  const across = step === 1 ? cells : 1;
  const made = new Float32Array(from.length);
  for (let line = 0; line < cells; line++) {
    for (let i = 0; i < cells; i++) {
      const value = from[line * across + i * step];
      if (value === 0) continue;
      for (let k = Math.max(-reach, -i); k <= Math.min(reach, cells - 1 - i); k++) {
        made[line * across + (i + k) * step] += value * kernel[k + reach];
      }
    }
  }
  return made;
}

// A square that holds what the map should show: all but 1 % of the codes on each side, and the prior's ellipse.
export function frameOf(points: readonly Point[], corners: readonly Point[]): Frame {
  const bounds = [0, 1].map((axis) => {
    const sorted = Float32Array.from(points, (p) => p[axis]).sort();
    const ends = sorted.length > 0 ? [quantile(sorted, 0.005), quantile(sorted, 0.995)] : [-1, 1];
    const all = [...ends, ...corners.map((p) => p[axis])];
    return [Math.min(...all), Math.max(...all)];
  });
  const half = 0.54 * Math.max(bounds[0][1] - bounds[0][0], bounds[1][1] - bounds[1][0], 1e-6);
  return { x: (bounds[0][0] + bounds[0][1]) / 2, y: (bounds[1][0] + bounds[1][1]) / 2, half };
}
