// The test image nearest to the place on the map: its reconstruction, its label, its bound.

import { current, labelFor, shownExample, type App } from "./app";
import { codeGrid } from "./codes";
import { byId, button, el, nats } from "./dom";
import { canRun, classOf, codeOf, exampleOf, type Bound, type Loaded } from "./models";
import { imageCanvas, paint } from "./paint";

const BOX = 112; // CSS pixels of an image

export function mountPoint(app: App): void {
  const { store } = app;
  let shown = "";
  const update = async (): Promise<void> => {
    const model = current(app);
    const { label } = store.state;
    const index = shownExample(app);
    const key = `${model.index} ${index} ${label}`;
    if (index < 0 || key === shown) return;
    shown = key;
    const pixels = exampleOf(model, index);
    const truth = classOf(model, index);
    const bound = canRun(model, "bound") ? await app.asker.bound(model, pixels, labelFor(model, truth?.label ?? label), "point") : null;
    if (shown !== key) return;
    if (canRun(model, "bound") && !bound) shown = ""; // replaced by a newer question
    else fill(model, index, truth?.name, pixels, bound);
  };
  const step = (by: number): void => {
    const model = current(app);
    const example = (shownExample(app) + by + model.exampleCount) % model.exampleCount;
    const label = classOf(model, example)?.label ?? store.state.label;
    store.set({ example, z: codeOf(model, example), hover: null, ...(model.conditional ? { label } : {}) });
  };
  byId("point-steps").append(
    button("‹", () => step(-1), { "aria-label": "Previous test image", "data-testid": "point-previous" }),
    button("›", () => step(1), { "aria-label": "Next test image", "data-testid": "point-next" }),
    button("go to its code", () => step(0), { class: "quiet", "data-testid": "point-go" }),
  );
  store.on(["model", "z", "hover", "axes", "example", "label"], () => void update());
  void update();
}

function fill(model: Loaded, index: number, name: string | undefined, pixels: Float32Array, bound: Bound | null): void {
  const image = imageCanvas(model.image, BOX, `Test image ${index + 1}${name ? `, ${name}` : ""}`, "point-image");
  paint(image, pixels, model.image);
  const pictures = [el("figure", {}, [image, el("figcaption", {}, ["test image"])])];
  if (bound) {
    const again = imageCanvas(model.image, BOX, "Its reconstruction", "point-reconstruction");
    paint(again, bound.mean, model.image);
    pictures.push(el("figure", {}, [again, el("figcaption", {}, ["reconstruction"])]));
  }
  byId("point-pictures").replaceChildren(...pictures);
  const facts: (readonly [string, string])[] = [["test image", `${index + 1} of ${model.exampleCount}`]];
  if (name !== undefined) facts.push(["label", name]);
  if (bound) facts.push(...boundFacts(bound));
  byId("point-facts").replaceChildren(...facts.flatMap(([what, value]) => [el("dt", {}, [what]), el("dd", {}, [value])]));
  byId("point-codes").replaceChildren(...(bound?.codes ? [codeGrid(model, bound.codes)] : []));
}

export function boundFacts({ loss, rate, distortion }: Bound): (readonly [string, string])[] {
  return [["−ELBO", `${nats(loss)} (one draw)`], ["rate", nats(rate)], ["distortion", nats(distortion)]];
}

