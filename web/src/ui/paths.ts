// Ways from one z to another.

import { dot, norm, type Vector } from "./plane";

export type Path = "straight" | "circle";

export function between(path: Path, a: Vector, b: Vector, t: number): Vector {
  return path === "straight" ? straight(a, b, t) : greatCircle(a, b, t);
}

export function straight(a: Vector, b: Vector, t: number): Vector {
  return a.map((v, i) => v + t * (b[i] - v));
}

// The direction turns at a constant rate along a great circle around the origin; the length changes evenly.
export function greatCircle(a: Vector, b: Vector, t: number): Vector {
  const [lengthA, lengthB] = [norm(a), norm(b)];
  if (lengthA < 1e-9 || lengthB < 1e-9) return straight(a, b, t);
  const cosine = Math.min(1, Math.max(-1, dot(a, b) / lengthA / lengthB));
  const angle = Math.acos(cosine);
  if (Math.sin(angle) < 1e-6) return straight(a, b, t); // the same direction, or opposite ones: no circle is the one
  const length = lengthA + t * (lengthB - lengthA);
  const wA = (length * Math.sin((1 - t) * angle)) / Math.sin(angle) / lengthA;
  const wB = (length * Math.sin(t * angle)) / Math.sin(angle) / lengthB;
  return a.map((v, i) => wA * v + wB * b[i]);
}
