// Draws from the prior, and what the model makes of them.

import { current, labelFor, type App } from "./app";
import { byId, button, el, fixed } from "./dom";
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

// For a ladder: keeps the groups above a level, and draws it and those below again.
function levels({ store }: App, model: Loaded): HTMLElement[] {
  if (model.groups.length < 2) return [];
  const starts = model.groups.map((_, g) => model.groups.slice(0, g).reduce((sum, size) => sum + size, 0));
  const redraw = (from: number): void => {
    const seed = store.state.seed + 1;
    const draw = row(model.drawRows, model.latent, Math.floor(random(seed)() * model.drawCount));
    store.set({ seed, z: store.state.z.map((v, d) => (d < from ? v : draw[d])), hover: null, example: null });
  };
  const buttons = starts.map((from, g) =>
    button(`from level ${g + 1}`, () => redraw(from), { class: "quiet", "data-testid": `level-${g + 1}` }),
  );
  return [el("div", { class: "row", role: "group", "aria-label": "Draw groups of z again" }, ["Keep what is above and draw z again", ...buttons])];
}
