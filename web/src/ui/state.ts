// What the visitor has chosen: one record, changed by `set`, watched by `on`.

import { type Path } from "./paths";
import { type Vector } from "./plane";

export type View = "mean" | "draw" | "spread";
export type Axes = "principal" | readonly [across: number, up: number];
export type Units = "sd" | "quantile";

export interface OwnImage {
  pixels: Float32Array; // of the model that was shown when it was made
  shape: readonly [number, number, number];
}

export interface State {
  model: number;
  z: Vector;
  hover: Vector | null; // where the pointer is: shown, not kept
  view: View;
  seed: number; // of the noise of a draw
  axes: Axes;
  label: number; // of the class that a conditional model is given
  a: Vector | null;
  b: Vector | null;
  path: Path;
  backdrop: boolean; // decoded images on the map
  points: boolean;
  units: Units;
  temperature: number;
  sampleSeed: number;
  example: number | null; // a test image that was chosen; null: the nearest one
  own: OwnImage | null;
}

export type Key = keyof State;

export interface Store {
  readonly state: Readonly<State>;
  set(change: Partial<State>): void;
  // Calls `then` after changes of these keys, once for all changes of one frame.
  on(keys: readonly Key[], then: () => void): void;
}

export function makeStore(first: State): Store {
  const state = { ...first };
  const listeners: { keys: readonly Key[]; then: () => void }[] = [];
  let changed = new Set<Key>();
  const tell = (): void => {
    const keys = changed;
    changed = new Set();
    for (const { keys: watched, then } of listeners) if (watched.some((key) => keys.has(key))) then();
  };
  return {
    state,
    set(change) {
      if (changed.size === 0) queueMicrotask(tell);
      for (const key of Object.keys(change) as Key[]) changed.add(key);
      Object.assign(state, change);
    },
    on(keys, then) {
      listeners.push({ keys, then });
    },
  };
}
