// What every part of the page is given.

import { atlasOf, nearest, type Atlas } from "./atlas";
import { codeOf, type Asker, type Loaded } from "./models";
import { project, type Point, type Vector } from "./plane";
import { type Store } from "./state";

export interface App {
  models: readonly Loaded[];
  asker: Asker;
  store: Store;
}

export function current({ models, store }: App): Loaded {
  return models[store.state.model];
}

export function currentAtlas(app: App): Atlas {
  return atlasOf(current(app), app.store.state.axes);
}

// The z that is shown: under the pointer, or where it was set.
export function shownZ({ store }: App): Vector {
  return store.state.hover ?? store.state.z;
}

export function shownPoint(app: App): Point {
  return project(currentAtlas(app).plane, shownZ(app));
}

const TOUCHED = 1 / 60; // of the map's width: so near to a point one means that point

// The test image that is shown: the chosen one, or that of the point under the pointer, or else the one whose code is
// nearest in all dimensions. -1 if the page has none.
export function shownExample(app: App): number {
  const model = current(app);
  const { example } = app.store.state;
  if (example !== null) return example;
  const atlas = currentAtlas(app);
  const touched = nearest(atlas, shownPoint(app), model.exampleCount, 2 * atlas.frame.half * TOUCHED);
  return touched >= 0 ? touched : nearestInSpace(model, shownZ(app));
}

function nearestInSpace(model: Loaded, z: Vector): number {
  let [best, least] = [-1, Infinity];
  for (let i = 0; i < model.exampleCount; i++) {
    const distance = codeOf(model, i).reduce((sum, v, d) => sum + (v - z[d]) ** 2, 0);
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

// The class that a model is given: the chosen one if it has it.
export function labelFor(model: Loaded, label: number): number {
  return model.classes.some((each) => each.label === label) ? label : (model.classes[0]?.label ?? 0);
}
