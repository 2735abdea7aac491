// A plane through latent space: what the map shows of it.

export type Vector = Float32Array;
export type Point = readonly [x: number, y: number];

// A point of the plane is centre + x across + y up, with `across` and `up` of length 1 and at right angles.
export interface Plane {
  centre: Vector;
  across: Vector;
  up: Vector;
  names: readonly [across: string, up: string];
  radius: number; // of the sphere on which every z lies; 0 if z is free
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export function norm(a: ArrayLike<number>): number {
  return Math.sqrt(dot(a, a));
}

export function project(plane: Plane, z: ArrayLike<number>): Point {
  let x = 0;
  let y = 0;
  for (let i = 0; i < z.length; i++) {
    const from = z[i] - plane.centre[i];
    x += from * plane.across[i];
    y += from * plane.up[i];
  }
  return [x, y];
}

// `z` moved within the plane to (x, y). What stands at right angles to the plane stays; on a sphere it is scaled so that
// the length of z is kept, and points outside the sphere's shadow are taken to its edge.
export function moved(plane: Plane, z: ArrayLike<number>, [x, y]: Point): Vector {
  const { centre, across, up, radius } = plane;
  const [oldX, oldY] = project(plane, z);
  if (radius === 0) return Float32Array.from(z, (v, i) => v + (x - oldX) * across[i] + (y - oldY) * up[i]);
  const outside = Math.hypot(x, y) / radius;
  if (outside > 1) [x, y] = [x / outside, y / outside];
  const rest = Float32Array.from(z, (v, i) => v - centre[i] - oldX * across[i] - oldY * up[i]);
  let length = norm(rest);
  const wanted = Math.sqrt(Math.max(0, radius * radius - x * x - y * y));
  if (length < 1e-6 * radius && wanted > 0) length = anyOther(plane, rest);
  const factor = length > 0 ? wanted / length : 0;
  const made = rest.map((v, i) => v * factor + x * across[i] + y * up[i]);
  const scale = radius / (norm(made) || 1); // in two dimensions nothing stands at right angles
  return made.map((v) => v * scale);
}

// Writes a vector at right angles to the plane into `rest`; returns its length, 0 if there is none.
function anyOther({ across, up }: Plane, rest: Vector): number {
  for (let axis = 0; axis < rest.length; axis++) {
    rest.forEach((_, i) => (rest[i] = (i === axis ? 1 : 0) - across[axis] * across[i] - up[axis] * up[i]));
    if (norm(rest) > 0.1) return norm(rest);
  }
  return 0;
}

export function axisPlane(dimensions: number, first: number, second: number, radius: number): Plane {
  const unit = (axis: number): Vector => Float32Array.from({ length: dimensions }, (_, i) => (i === axis ? 1 : 0));
  return {
    centre: new Float32Array(dimensions),
    across: unit(first),
    up: dimensions > 1 ? unit(second) : new Float32Array(1),
    names: [dimensionName(first), dimensions > 1 ? dimensionName(second) : ""],
    radius,
  };
}

export function dimensionName(index: number): string {
  return "z" + [...String(index + 1)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[Number(digit)]).join("");
}
