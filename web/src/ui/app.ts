// What every part of the page is given.

import { atlasOf, type Atlas } from "./atlas";
import { type Asker, type Loaded } from "./models";
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

// The class that a model is given: the chosen one if it has it.
export function labelFor(model: Loaded, label: number): number {
  return model.classes.some((each) => each.label === label) ? label : (model.classes[0]?.label ?? 0);
}
