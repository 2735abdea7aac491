// One slider for each dimension of z, ordered by KL; those that carry nothing are folded away.

import { current, type App } from "./app";
import { byId, button, choices, el, fixed } from "./dom";
import { type Loaded } from "./models";
import { dimensionName, norm } from "./plane";
import { quantile, share } from "./statistics";
import { type Units } from "./state";

const INACTIVE_NATS = 0.01;
const UNORDERED = 16; // sliders that are not folded where the KL has no parts
const RANGE = 4; // standard deviations to each side

interface Slider {
  dimension: number;
  input: HTMLInputElement;
  output: HTMLOutputElement;
}

export function mountSliders(app: App): void {
  const { store } = app;
  let sliders: Slider[] = [];
  let sorted: Float32Array[] = [];
  const build = (): void => {
    const model = current(app);
    byId("dimensions").hidden = model.support === "codes";
    if (model.support === "codes") return;
    sorted = Array.from({ length: model.latent }, (_, d) => column(model, d).sort());
    const known = model.kl.length > 0;
    const order = dimensionsByKl(model);
    const active = known ? order.filter((d) => model.kl[d] >= INACTIVE_NATS).length : UNORDERED;
    const [shown, folded] = [order.slice(0, active), order.slice(active)];
    sliders = [];
    const rows = (list: number[]): HTMLElement => {
      const made = list.map((d) => slider(app, model, sorted, d));
      sliders.push(...made.map((each) => each.slider));
      return el("div", { class: "sliders" }, made.map((each) => each.row));
    };
    const what = `${folded.length} ${known ? "inactive" : "more"} ${folded.length === 1 ? "dimension" : "dimensions"}`;
    const summary = el("summary", {}, [known ? `${what} (KL below ${INACTIVE_NATS} nats)` : what]);
    const details = el("details", { "data-testid": "inactive" }, [summary, rows(folded)]);
    byId("slider-rows").replaceChildren(rows(shown), ...(folded.length > 0 ? [details] : []));
    const total = model.kl.reduce((sum, v) => sum + v, 0);
    byId("slider-note").textContent = !known
      ? "The KL of this model has no part for each dimension, so they stand in their own order."
      : `${active} of ${model.latent} dimensions are active; together they carry ${fixed(total, 1)} nats (mean over test images).`;
    byId("slider-tools").replaceChildren(
      choices("units", "Units", [["sd", "standard deviations"], ["quantile", "quantiles"]], store.state.units, (units) => store.set({ units })),
      button("all to the mean", () => store.set({ z: priorMean(model), hover: null, example: null }), { class: "quiet", "data-testid": "reset" }),
    );
    show();
  };
  const show = (): void => {
    const model = current(app);
    for (const { dimension, input, output } of sliders) {
      const value = store.state.z[dimension];
      const { units } = store.state;
      const place = placeOf(model, sorted, dimension, value, units);
      setRange(input, units);
      input.value = String(place);
      const inUnits = units === "sd" ? `${fixed(place)} sd` : `${fixed(100 * place, 1)} %`;
      output.textContent = `${inUnits} · z = ${fixed(value)}`;
      input.setAttribute("aria-valuetext", `${inUnits}, z = ${fixed(value)}`);
    }
  };
  store.on(["model"], build);
  store.on(["z", "units"], show);
  build();
}

function slider(app: App, model: Loaded, sorted: readonly Float32Array[], dimension: number): { row: HTMLElement; slider: Slider } {
  const id = `z-${dimension}`;
  const input = el("input", { type: "range", id, "data-testid": `slider-${dimension}` });
  const output = el("output", { for: id });
  input.addEventListener("input", () => {
    const { z, units } = app.store.state;
    let next = Float32Array.from(z);
    next[dimension] = valueOf(model, sorted, dimension, Number(input.value), units);
    if (model.radius > 0) {
      const scale = model.radius / (norm(next) || 1);
      next = next.map((v) => v * scale);
    }
    app.store.set({ z: next, hover: null, example: null });
  });
  const name = el("label", { for: id }, [el("b", {}, [dimensionName(dimension)]), model.kl.length > 0 ? ` ${fixed(model.kl[dimension])} nats` : ""]);
  return { row: el("div", { class: "slider" }, [name, input, output]), slider: { dimension, input, output } };
}

// The most informative first; in their own order where the KL has no part for each.
export function dimensionsByKl({ kl, latent }: Loaded): number[] {
  const order = Array.from({ length: latent }, (_, d) => d);
  return kl.length === 0 ? order : order.sort((p, q) => kl[q] - kl[p]);
}

function setRange(input: HTMLInputElement, units: Units): void {
  const [min, max, step] = units === "sd" ? [-RANGE, RANGE, 0.01] : [0.001, 0.999, 0.001];
  [input.min, input.max, input.step] = [String(min), String(max), String(step)];
}

// Standard deviations are those of the codes, from their mean.
function placeOf(model: Loaded, sorted: readonly Float32Array[], d: number, value: number, units: Units): number {
  if (units === "sd") return (value - model.mean[d]) / (model.scale[d] || 1);
  return share(sorted[d], value);
}

function valueOf(model: Loaded, sorted: readonly Float32Array[], d: number, place: number, units: Units): number {
  return units === "sd" ? model.mean[d] + place * (model.scale[d] || 1) : quantile(sorted[d], place);
}

function column(model: Loaded, d: number): Float32Array {
  return Float32Array.from({ length: model.count }, (_, i) => model.codeRows[i * model.latent + d]);
}

function priorMean(model: Loaded): Float32Array {
  if (model.radius === 0) return Float32Array.from(model.priorMean);
  const scale = model.radius / (norm(model.mean) || 1);
  return Float32Array.from(model.mean, (v) => v * scale);
}
