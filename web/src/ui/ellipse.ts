// Ellipses of a normal distribution in the plane of the map.

import { project, type Plane, type Point } from "./plane";

export interface Ellipse {
  x: number;
  y: number;
  major: number; // one standard deviation along the longer axis
  minor: number;
  angle: number; // of the longer axis, radians, anticlockwise from across
}

export function fromCovariance([x, y]: Point, xx: number, xy: number, yy: number): Ellipse {
  const half = (xx + yy) / 2;
  const root = Math.hypot((xx - yy) / 2, xy);
  return {
    x,
    y,
    major: Math.sqrt(Math.max(0, half + root)),
    minor: Math.sqrt(Math.max(0, half - root)),
    angle: root < 1e-12 * half ? 0 : Math.atan2(2 * xy, xx - yy) / 2,
  };
}

// The ellipse of points by their mean and covariance.
export function ofPoints(points: readonly Point[]): Ellipse {
  const n = Math.max(1, points.length);
  const x = points.reduce((sum, p) => sum + p[0], 0) / n;
  const y = points.reduce((sum, p) => sum + p[1], 0) / n;
  let [xx, xy, yy] = [0, 0, 0];
  for (const p of points) {
    xx += (p[0] - x) ** 2 / n;
    xy += (p[0] - x) * (p[1] - y) / n;
    yy += (p[1] - y) ** 2 / n;
  }
  return fromCovariance([x, y], xx, xy, yy);
}

// What the plane shows of N(mean, diag(scale^2)).
export function ofNormal(plane: Plane, mean: ArrayLike<number>, scale: ArrayLike<number>): Ellipse {
  let [xx, xy, yy] = [0, 0, 0];
  for (let i = 0; i < mean.length; i++) {
    const variance = scale[i] * scale[i];
    xx += plane.across[i] * plane.across[i] * variance;
    xy += plane.across[i] * plane.up[i] * variance;
    yy += plane.up[i] * plane.up[i] * variance;
  }
  return fromCovariance(project(plane, mean), xx, xy, yy);
}

// How many standard deviations a point is from the middle.
export function deviations(ellipse: Ellipse, [x, y]: Point): number {
  const [dx, dy] = [x - ellipse.x, y - ellipse.y];
  const [cos, sin] = [Math.cos(ellipse.angle), Math.sin(ellipse.angle)];
  const tiny = 1e-9;
  return Math.hypot((dx * cos + dy * sin) / Math.max(ellipse.major, tiny), (dy * cos - dx * sin) / Math.max(ellipse.minor, tiny));
}
