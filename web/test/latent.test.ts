import assert from "node:assert/strict";
import { test } from "node:test";
import { densityAt, densityOf, isEmpty, peak } from "../src/ui/density";
import { deviations, ofPoints, ofNormal } from "../src/ui/ellipse";
import { between, greatCircle } from "../src/ui/paths";
import { axisPlane, moved, norm, project, type Point } from "../src/ui/plane";
import { principalPlane } from "../src/ui/principal";
import { random } from "../src/ui/statistics";

const next = random(3);
const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
const near = (a: number, b: number, by = 1e-5): void => assert.ok(Math.abs(a - b) <= by, `${a} is not ${b}`);

test("principal components are the directions of the largest variance", () => {
  // Variances 9, 4, 0.01 along three orthogonal directions
  const [u, v, w] = [[2 / 3, 2 / 3, 1 / 3], [-1 / Math.SQRT2, 1 / Math.SQRT2, 0], [-1 / Math.sqrt(18), -1 / Math.sqrt(18), 4 / Math.sqrt(18)]];
  const codes: number[] = [];
  for (let i = 0; i < 4000; i++) {
    const [a, b, c] = [3 * normal(), 2 * normal(), 0.1 * normal()];
    for (let d = 0; d < 3; d++) codes.push(5 + a * u[d] + b * v[d] + c * w[d]);
  }
  const plane = principalPlane(codes, 3, 0);
  const cosine = (p: ArrayLike<number>, q: number[]): number => Math.abs(p[0] * q[0] + p[1] * q[1] + p[2] * q[2]);
  near(cosine(plane.across, u), 1, 0.01);
  near(cosine(plane.up, v), 1, 0.01);
  near(norm(plane.across), 1);
  near(plane.across[0] * plane.up[0] + plane.across[1] * plane.up[1] + plane.across[2] * plane.up[2], 0);
});

test("codes that are all equal have a plane too", () => {
  const plane = principalPlane(new Float32Array(40).fill(2), 4, 0);
  near(norm(plane.across), 1);
  near(norm(plane.up), 1);
});

test("a move changes what the plane shows and nothing else", () => {
  const plane = axisPlane(4, 1, 3, 0);
  const z = moved(plane, Float32Array.of(1, 2, 3, 4), [-1, 0.5]);
  assert.deepEqual([...z], [1, -1, 3, 0.5]);
  assert.deepEqual([...project(plane, z)], [-1, 0.5]);
});

for (const dimensions of [2, 3, 8]) {
  test(`a move on the sphere of ${dimensions} dimensions stays on it`, () => {
    const plane = axisPlane(dimensions, 0, 1, 2);
    let z = new Float32Array(dimensions).fill(2 / Math.sqrt(dimensions));
    for (const at of [[0.3, 0.4], [5, 5], [0, 0.1], [2, 0], [-0.2, 0.1]] as Point[]) {
      z = moved(plane, z, at);
      near(norm(z), 2, 1e-4);
      const [x, y] = project(plane, z);
      if (dimensions > 2 && Math.hypot(...at) < 2) assert.ok(Math.hypot(x - at[0], y - at[1]) < 1e-3);
    }
  });
}

test("a great circle keeps the length and turns evenly", () => {
  const [a, b] = [Float32Array.of(2, 0), Float32Array.of(0, 2)];
  for (const t of [0, 0.25, 0.5, 1]) {
    const z = greatCircle(a, b, t);
    near(norm(z), 2);
    near(Math.atan2(z[1], z[0]), (t * Math.PI) / 2);
  }
  near(norm(between("straight", a, b, 0.5)), Math.SQRT2);
  near(norm(greatCircle(a, Float32Array.of(0, 4), 0.5)), 3);
  assert.deepEqual([...greatCircle(a, Float32Array.of(-2, 0), 0.5)], [0, 0]); // opposite: a straight line
});

test("the density is high where points are, and a ring has a hole", () => {
  const points = Array.from({ length: 3000 }, (): Point => {
    const angle = 2 * Math.PI * next();
    return [3 * Math.cos(angle) + 0.2 * normal(), 3 * Math.sin(angle) + 0.2 * normal()];
  });
  const density = densityOf(points, { x: 0, y: 0, half: 5 }, 0.3);
  assert.ok(isEmpty(density, [0, 0]));
  assert.ok(!isEmpty(density, [3, 0]));
  assert.ok(densityAt(density, [0, 3]) > 20 * densityAt(density, [0, 1]));
  assert.equal(densityAt(density, [9, 9]), 0);
  const empty = points.filter((p) => isEmpty(density, p)).length;
  assert.ok(empty <= 0.011 * points.length, `${empty} points lie in holes`);
});

test("the kernel has the width that was asked for", () => {
  const density = densityOf([[0, 0]], { x: 0, y: 0, half: 5 }, 0.8, 201);
  near(densityAt(density, [0.8, 0]), Math.exp(-0.5), 0.03);
  near(densityAt(density, [0, -1.6]), Math.exp(-2), 0.03);
  const [x, y] = peak(density, density);
  near(Math.hypot(x, y), 0, 0.05);
});

test("a class is named where most of the codes are its own", () => {
  const frame = { x: 0, y: 0, half: 5 };
  const cloud = (x: number, count: number): Point[] => Array.from({ length: count }, (): Point => [x + 0.5 * normal(), 0.5 * normal()]);
  const own = [...cloud(0, 600), ...cloud(3, 500)];
  const all = densityOf([...own, ...cloud(0, 3000)], frame, 0.3, 60);
  const [x] = peak(densityOf(own, frame, 0.3, 60), all);
  near(x, 3, 0.6);
});

test("an ellipse is that of the points' covariance", () => {
  const points = Array.from({ length: 20000 }, (): Point => {
    const [a, b] = [3 * normal(), normal()];
    return [1 + a * Math.cos(0.5) - b * Math.sin(0.5), 2 + a * Math.sin(0.5) + b * Math.cos(0.5)];
  });
  const ellipse = ofPoints(points);
  near(ellipse.major, 3, 0.06);
  near(ellipse.minor, 1, 0.03);
  near(ellipse.angle, 0.5, 0.02);
  near(deviations(ellipse, [1 + 6 * Math.cos(0.5), 2 + 6 * Math.sin(0.5)]), 2, 0.1);
  near(deviations(ellipse, [1 - 2 * Math.sin(0.5), 2 + 2 * Math.cos(0.5)]), 2, 0.1);
});

test("the ellipse of a posterior has its scales along the axes of the map", () => {
  const plane = axisPlane(3, 2, 0, 0);
  const ellipse = ofNormal(plane, [1, 2, 3], [0.1, 9, 0.5]);
  assert.deepEqual([ellipse.x, ellipse.y], [3, 1]);
  near(ellipse.major, 0.5);
  near(ellipse.minor, 0.1);
  near(ellipse.angle, 0);
});
