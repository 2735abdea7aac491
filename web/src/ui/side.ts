// Two to four models side by side: one z, or one image.

import { current, labelFor, shownZ, type App } from "./app";
import { boundFacts } from "./point";
import { byId, choices, el } from "./dom";
import { canRun, exampleOf, type Loaded } from "./models";
import { imageCanvas, paint } from "./paint";

type Shared = "z" | "image";

const BOX = 168;

export function mountSide(app: App): void {
  const { store, models } = app;
  const section = byId("side");
  section.hidden = models.length < 2;
  if (models.length < 2) return;
  let shared: Shared = models.slice(1).some((model) => sameSpace(model, models[0])) ? "z" : "image";
  let turn = 0;
  const update = async (): Promise<void> => {
    const mine = ++turn;
    const cards = await Promise.all(models.map((model) => (shared === "z" ? ofZ(app, model) : ofImage(app, model))));
    if (mine !== turn) return;
    if (cards.some((card) => card === null)) return; // a newer question is on its way
    byId("side-cards").replaceChildren(...cards.filter((card) => card !== null));
    byId("side-note").textContent =
      shared === "z"
        ? `Every model decodes the z of the map of ${current(app).name}. A z means something else to each model.`
        : "Every model reconstructs one image: your own if there is one, or else the test image above.";
  };
  byId("side-tools").append(
    choices<Shared>("shared", "What they share", [["z", "one z"], ["image", "one image"]], shared, (value) => {
      shared = value;
      void update();
    }),
  );
  store.on(["model", "z", "hover", "label", "own", "example"], () => void update());
  void update();
}

function card(model: Loaded, chosen: boolean, parts: readonly (Node | string)[]): HTMLElement {
  return el("article", { class: chosen ? "card chosen" : "card", "data-testid": "side-card" }, [el("h3", {}, [model.name]), ...parts]);
}

function sameSpace(a: Loaded, b: Loaded): boolean {
  return a.latent === b.latent && a.support === b.support;
}

function space({ latent, support }: Loaded): string {
  return { real: `${latent} numbers`, sphere: `a point of the sphere in ${latent} dimensions`, codes: "entries of a table" }[support];
}

async function ofZ(app: App, model: Loaded): Promise<HTMLElement | null> {
  const chosen = current(app);
  const z = shownZ(app);
  if (!sameSpace(model, chosen)) return card(model, false, [`Its z is another: ${space(model)}, not ${space(chosen)}.`]);
  const numbers = await app.asker.decode(model, z, labelFor(model, app.store.state.label), "mean", `side ${model.index}`);
  if (!numbers) return null;
  const canvas = imageCanvas(model.image, BOX, `What ${model.name} decodes from this z`, "side-image");
  paint(canvas, numbers, model.image);
  return card(model, model === chosen, [canvas]);
}

async function ofImage(app: App, model: Loaded): Promise<HTMLElement | null> {
  const chosen = current(app);
  const { own, example, label } = app.store.state;
  const shape = own?.shape ?? chosen.image;
  if (String(shape) !== String(model.image)) return card(model, false, ["This model takes images of another size."]);
  if (!canRun(model, "bound")) return card(model, false, ["This page cannot encode with this model."]);
  const pixels = own?.pixels ?? exampleOf(chosen, example ?? 0);
  const bound = await app.asker.bound(model, pixels, labelFor(model, label), `side ${model.index}`);
  if (!bound) return null;
  const canvas = imageCanvas(model.image, BOX, `What ${model.name} reconstructs`, "side-image");
  paint(canvas, bound.mean, model.image);
  const facts = boundFacts(bound).flatMap(([what, value]) => [el("dt", {}, [what]), el("dd", {}, [value])]);
  return card(model, model === chosen, [canvas, el("dl", { class: "facts" }, facts)]);
}
