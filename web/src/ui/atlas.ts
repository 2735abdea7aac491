// What the map of a model shows in a chosen plane: computed once for each model and plane.

import { bandwidth, densityOf, frameOf, isEmpty, peak, type Density, type Frame } from "./density";
import { deviations, ofNormal, ofPoints, type Ellipse } from "./ellipse";
import { codeOf, row, type Loaded } from "./models";
import { axisPlane, project, type Plane, type Point } from "./plane";
import { principalPlane } from "./principal";
import { type Axes } from "./state";

export interface Atlas {
  plane: Plane;
  frame: Frame;
  points: Point[]; // of the codes
  density: Density;
  prior: Ellipse | null; // one standard deviation of p(z); null for codes
  names: { text: string; at: Point; index: number }[]; // of the classes, where most of their codes are
}

export const REACH = 3; // standard deviations of the prior inside which an empty place is a hole
const NAMING_CELLS = 60;
const NAMED = 40; // classes at most: more names would cover the map

const made = new Map<string, Atlas>();

export function atlasOf(model: Loaded, axes: Axes): Atlas {
  const key = `${model.index} ${String(axes)}`;
  let atlas = made.get(key);
  if (!atlas) made.set(key, (atlas = make(model, axes)));
  return atlas;
}

function make(model: Loaded, axes: Axes): Atlas {
  const plane = planeOf(model, axes);
  const normal = model.normalPrior;
  const points = Array.from({ length: model.count }, (_, i) => project(plane, codeOf(model, i)));
  const draws = Array.from({ length: model.drawCount }, (_, i) => project(plane, row(model.drawRows, model.latent, i)));
  const prior = model.support === "codes" ? null : normal ? ofNormal(plane, normal.mean, normal.scale) : ofPoints(draws);
  const { radius } = model;
  const frame = frameOf(points, radius > 0 ? [[-radius, -radius], [radius, radius]] : prior ? corners(prior) : []);
  const names: Atlas["names"] = [];
  if (model.codeLabels.length > 0 && model.classes.length <= NAMED) {
    const width = bandwidth(points);
    const all = densityOf(points, frame, width, NAMING_CELLS);
    model.classes.forEach(({ name }, index) => {
      const own = points.filter((_, i) => model.codeLabels[i] === index);
      if (own.length > 0) names.push({ text: name, at: peak(densityOf(own, frame, width, NAMING_CELLS), all), index });
    });
  }
  return { plane, frame, points, density: densityOf(points, frame), prior, names };
}

function planeOf(model: Loaded, axes: Axes): Plane {
  if (axes === "principal") return principalPlane(model.codeRows, model.latent, model.radius);
  return axisPlane(model.latent, axes[0], axes[1], model.radius);
}

// The plane that a visitor sees first.
export function firstAxes(model: Loaded): Axes {
  return model.latent > 2 ? "principal" : [0, Math.min(1, model.latent - 1)];
}

function corners({ x, y, major, minor, angle }: Ellipse): Point[] {
  const [a, b] = [REACH * major, REACH * minor];
  const wide = Math.hypot(a * Math.cos(angle), b * Math.sin(angle));
  const high = Math.hypot(a * Math.sin(angle), b * Math.cos(angle));
  return [[x - wide, y - high], [x + wide, y + high]];
}

export type Place = "data" | "hole" | "outside";

// What one may expect at a place: images like the data, a hole, or nothing that the prior draws.
export function placeOf(atlas: Atlas, at: Point): Place {
  if (!isEmpty(atlas.density, at)) return "data";
  const { prior, plane } = atlas;
  const inside = prior !== null && deviations(prior, at) <= REACH && onSphere(plane, at);
  return inside ? "hole" : "outside";
}

// Whether some z of the sphere has its shadow there. The circle in two dimensions has no inside.
function onSphere({ radius, centre }: Plane, at: Point): boolean {
  if (radius === 0) return true;
  const from = Math.hypot(...at) / radius;
  return from <= 1.001 && (centre.length > 2 || from >= 0.95);
}

// The code nearest to a place on the map among the first `count`; -1 if there is none within `reach`.
export function nearest(atlas: Atlas, [x, y]: Point, count: number, reach = Infinity): number {
  let best = -1;
  let least = reach * reach;
  for (let i = 0; i < Math.min(count, atlas.points.length); i++) {
    const [px, py] = atlas.points[i];
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}
