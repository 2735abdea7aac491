// The backdrop of the map: the images that the model decodes on a grid of places.

import { current, currentAtlas, labelFor, type App } from "./app";
import { zAt } from "./map";
import { stamp } from "./paint";
import { type Point } from "./plane";

export const TILES = 16; // on each side

interface Tile {
  at: Point;
  image: HTMLCanvasElement;
}

let key = "";
let tiles: Tile[] = [];

// The tiles that are ready. The rest is decoded one after another, so that what is asked meanwhile is not kept waiting;
// `then` is called when more are ready.
export function manifold(app: App, then: () => void): readonly Tile[] {
  const { state } = app.store;
  const model = current(app);
  const { frame } = currentAtlas(app);
  // The images differ with what stands at right angles to the map
  const rest = Array.from(zAt(app, [frame.x, frame.y]), (v) => v.toFixed(2)).join();
  const wanted = `${model.index} ${String(state.axes)} ${state.label} ${rest}`;
  if (wanted !== key) {
    key = wanted;
    tiles = [];
    void fill();
  }
  return tiles;

  async function fill(): Promise<void> {
    const mine: Tile[] = tiles;
    const places: Point[] = [];
    for (let row = TILES - 1; row >= 0; row--) {
      for (let column = 0; column < TILES; column++) {
        const place = (i: number, middle: number): number => middle + ((2 * i + 1) / TILES - 1) * frame.half;
        places.push([place(column, frame.x), place(row, frame.y)]);
      }
    }
    for (const [i, at] of places.entries()) {
      if (wanted !== key) return;
      const mean = await app.asker.decode(model, zAt(app, at), labelFor(model, state.label));
      if (mean) mine.push({ at, image: stamp(model, mean) });
      if (wanted === key && (i % TILES === TILES - 1 || i === places.length - 1)) then();
    }
  }
}
