// Draws from the prior, and what the model makes of them.

import { current, labelFor, type App } from "./app";
import { byId, button, el, fixed } from "./dom";
import { hasLevels, redrawn } from "./ladder";
import { canRun, row, type Loaded } from "./models";
import { imageCanvas, paint } from "./paint";
import { type Vector } from "./plane";
import { random } from "./statistics";

const COUNT = 16;

export function mountSamples(app: App): void {
  const { store } = app;
  let turn = 0;
  const draw = async (): Promise<void> => {
    const model = current(app);
    const { sampleSeed, temperature, label } = store.state;
    const mine = ++turn;
    const pick = random(sampleSeed);
    const made: HTMLElement[] = [];
    for (let i = 0; i < COUNT; i++) {
      const drawn = canRun(model, "prior")
        ? await app.asker.prior(model, sampleSeed * COUNT + i)
        : row(model.drawRows, model.latent, Math.floor(pick() * model.drawCount));
      if (mine !== turn || !drawn) return;
      const z = model.support === "real" ? warmed(model, drawn, temperature) : drawn;
      const numbers = await app.asker.decode(model, z, labelFor(model, label), "mean", `sample ${i}`);
      if (mine !== turn || !numbers) return;
      const canvas = imageCanvas(model.image, 96, "", "sample");
      canvas.setAttribute("aria-hidden", "true");
      paint(canvas, numbers, model.image);
      const go = el("button", { type: "button", class: "image", "aria-label": `Go to sample ${i + 1}` }, [canvas]);
      go.addEventListener("click", () => store.set({ z, hover: null, example: null }));
      made.push(go);
    }
    byId("samples-grid").replaceChildren(...made);
  };
  const tools = (): void => {
    const model = current(app);
    const again = button("Draw again", () => store.set({ sampleSeed: store.state.sampleSeed + 1 }), { "data-testid": "samples-again" });
    byId("sample-tools").replaceChildren(again, ...(model.support === "real" ? [temperatureOf(app)] : []), ...levels(app, model));
  };
  store.on(["model", "sampleSeed", "temperature", "label"], () => void draw());
  store.on(["model"], tools);
  tools();
  void draw();
}

function warmed({ priorMean }: Loaded, z: Vector, temperature: number): Vector {
  return z.map((v, d) => priorMean[d] + temperature * (v - priorMean[d]));
}

function temperatureOf({ store }: App): HTMLElement {
  const input = el("input", { type: "range", id: "temperature", min: "0", max: "1.5", step: "0.05", "data-testid": "temperature" });
  const output = el("output", { for: "temperature" });
  const show = (): void => void (output.textContent = fixed(Number(input.value)));
  input.value = String(store.state.temperature);
  input.addEventListener("input", () => {
    show();
    store.set({ temperature: Number(input.value) });
  });
  show();
  return el("div", { class: "slider short" }, [el("label", { for: "temperature" }, ["temperature"]), input, output]);
}

// For a ladder: draws z again from a level on.
function levels({ store, asker }: App, model: Loaded): HTMLElement[] {
  if (!hasLevels(model)) return [];
  const redraw = async (from: number): Promise<void> => {
    const seed = store.state.seed + 1;
    const z = await redrawn(asker, model, store.state.z, from, seed);
    if (z) store.set({ seed, z, hover: null, example: null });
  };
  const buttons = model.groups.map((width, g) => {
    const meaning = `Draw levels ${g + 1} to ${model.groups.length} again; level ${g + 1} has ${width} dimensions`;
    return button(`from level ${g + 1}`, () => void redraw(g), { class: "quiet", "data-testid": `level-${g + 1}`, title: meaning });
  });
  return [el("div", { class: "row", role: "group", "aria-label": "Draw z again" }, ["Draw the z of the map again, and keep the levels above:", ...buttons])];
}
