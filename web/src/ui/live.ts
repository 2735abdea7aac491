// The large image beside the map, and the words that say where one is.

import { current, currentAtlas, labelFor, shownPoint, shownZ, type App } from "./app";
import { densityAt } from "./density";
import { nearest, placeOf, type Place } from "./atlas";
import { byId, button, choices, fixed } from "./dom";
import { classOf, hasOutput } from "./models";
import { paint, sizeFor, topOf } from "./paint";
import { dimensionName, norm, project } from "./plane";
import { type View } from "./state";

const SPOKEN_AFTER = 500; // milliseconds of rest: a screen reader is not told every step

const PLACES: Record<Place, string> = {
  data: "Test images lie here.",
  hole: "A hole: the prior draws z here, but hardly any test image has its code here. The image means little.",
  outside: "Outside: neither test images nor the prior's draws lie here.",
};

export function mountLive(app: App): void {
  const { store } = app;
  const canvas = byId<HTMLCanvasElement>("live");
  const resize = (): void => sizeFor(canvas, current(app).image, byId("live-box").clientWidth);
  const draw = async (): Promise<void> => {
    const model = current(app);
    const { view, label, seed } = store.state;
    const numbers = await app.asker.decode(model, shownZ(app), labelFor(model, label), view, "live", seed);
    if (!numbers || model !== current(app)) return;
    const spread = view === "spread" && hasOutput(model, "decode", "spread");
    const top = spread ? topOf(numbers) : 1;
    paint(canvas, numbers, model.image, top);
    byId("view-note").textContent = viewNote(view, spread, top);
  };
  store.on(["model", "z", "hover", "view", "label", "seed"], () => void draw());
  store.on(["model"], resize);
  new ResizeObserver(resize).observe(byId("live-box"));
  resize();
  void draw();

  let timer: ReturnType<typeof setTimeout> | undefined;
  const say = (): void => {
    const [where, place] = words(app);
    byId("where").textContent = where;
    byId("place").textContent = PLACES[place];
    byId("place").dataset["place"] = byId("live-box").dataset["place"] = place;
    clearTimeout(timer);
    timer = setTimeout(() => (byId("spoken").textContent = spoken(app, where, place)), SPOKEN_AFTER);
  };
  store.on(["model", "z", "hover", "axes"], say);
  say();

  const views = (): void => mountViews(app);
  store.on(["model"], views);
  views();
}

function mountViews(app: App): void {
  const { store } = app;
  const model = current(app);
  const all: [View, string][] = [["mean", "mean"], ["draw", "a draw"], ["spread", "spread"]];
  const there = all.filter(([view]) => hasOutput(model, "decode", view));
  if (!there.some(([view]) => view === store.state.view)) store.set({ view: "mean" });
  const again = button("draw again", () => store.set({ view: "draw", seed: store.state.seed + 1 }), { class: "quiet", "data-testid": "draw-again" });
  const shown = choices("view", "What of p(x|z) is shown", there, store.state.view, (view) => store.set({ view }));
  byId("views").replaceChildren(shown, ...(hasOutput(model, "decode", "draw") ? [again] : []));
}

function viewNote(view: View, spread: boolean, top: number): string {
  if (spread) return `Standard deviation of each pixel; white is ${fixed(top, 3)} (black to white is 1).`;
  if (view === "draw") return "One draw of every pixel from p(x|z).";
  return "The mean of p(x|z) at this z.";
}

// "z₁ = 0.52, z₂ = −1.20", and what one may expect there.
function words(app: App): [string, Place] {
  const atlas = currentAtlas(app);
  const model = current(app);
  const [x, y] = shownPoint(app);
  const { axes } = app.store.state;
  if (model.latent === 1) return [`z = ${fixed(x)}`, placeOf(atlas, [x, y])];
  const names = axes === "principal" ? ["PC 1", "PC 2"] : axes.map(dimensionName);
  const length = model.latent > 2 ? `, |z| = ${fixed(norm(shownZ(app)))}` : "";
  return [`${names[0]} = ${fixed(x)}, ${names[1]} = ${fixed(y)}${length}`, placeOf(atlas, [x, y])];
}

function spoken(app: App, where: string, place: Place): string {
  const model = current(app);
  const atlas = currentAtlas(app);
  const at = project(atlas.plane, shownZ(app));
  const index = nearest(atlas, at, model.count);
  const near = classOf(model, index)?.name;
  const dense = `density ${Math.round(100 * densityAt(atlas.density, at))} % of the highest`;
  return `${where}. ${PLACES[place]} ${near ? `The nearest test image is of class ${near}; ` : ""}${dense}.`;
}
