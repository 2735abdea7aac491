// The first two principal components of the codes, by power iteration: no matrix of D x D numbers is made.

import { dot, norm, type Plane, type Vector } from "./plane";

const ITERATIONS = 60;
const NUMBERS = 1_000_000; // at most: of many long codes a part is enough for a map

// Rows of [count, dimensions]. On a sphere (radius > 0) the components go through the origin.
export function principalPlane(codes: ArrayLike<number>, dimensions: number, radius: number): Plane {
  const count = codes.length / dimensions;
  const step = Math.max(1, Math.ceil((count * dimensions) / NUMBERS));
  const centre = new Float32Array(dimensions);
  if (radius === 0) {
    for (let i = 0; i < count; i++) for (let j = 0; j < dimensions; j++) centre[j] += codes[i * dimensions + j] / count;
  }
  const rows: Vector[] = [];
  for (let i = 0; i < count; i += step) {
    rows.push(Float32Array.from({ length: dimensions }, (_, j) => codes[i * dimensions + j] - centre[j]));
  }
  const across = component(rows, dimensions, null);
  const up = component(rows, dimensions, across);
  return { centre, across, up, names: ["first principal component", "second principal component"], radius };
}

// The direction of the largest variance at right angles to `against`. Its largest number is positive: a sign is no news.
function component(rows: readonly Vector[], dimensions: number, against: Vector | null): Vector {
  let direction: Vector = Float32Array.from({ length: dimensions }, (_, i) => 1 + 0.3 * Math.sin(1 + 7 * i));
  direction = unit(without(direction, against), against);
  for (let i = 0; i < ITERATIONS; i++) {
    const next = new Float32Array(dimensions);
    for (const row of rows) {
      const along = dot(row, direction);
      for (let j = 0; j < dimensions; j++) next[j] += along * row[j];
    }
    const cleared = without(next, against);
    if (norm(cleared) < 1e-12) break;
    direction = unit(cleared, against);
  }
  const largest = direction.reduce((best, v) => (Math.abs(v) > Math.abs(best) ? v : best), 0);
  return largest < 0 ? direction.map((v) => -v) : direction;
}

function without(v: Vector, against: Vector | null): Vector {
  if (against === null) return v;
  const along = dot(v, against);
  return v.map((x, i) => x - along * against[i]);
}

function unit(v: Vector, against: Vector | null): Vector {
  const length = norm(v);
  if (length > 1e-12) return v.map((x) => x / length);
  // Nothing is left: any axis that is not `against`
  for (let axis = 0; axis < v.length; axis++) {
    const other = without(v.map((_, i) => (i === axis ? 1 : 0)), against);
    if (norm(other) > 0.1) return other.map((x) => x / norm(other));
  }
  return v.map(() => 0);
}
