// Title, facts and results of the model, and the choices that hold for the whole page.

import { current, type App } from "./app";
import { firstAxes } from "./atlas";
import { classColour } from "./colours";
import { byId, checkbox, choices, el, select, shortened } from "./dom";
import { codeOf } from "./models";
import { dimensionName } from "./plane";
import { dimensionsByKl } from "./sliders";
import { type Axes } from "./state";
import { firstPins } from "./strip";
import { onTheme, theme } from "./theme";

export function mountHeader(app: App): void {
  const { store, models } = app;
  const update = (): void => {
    const model = current(app);
    byId("title").textContent = model.name;
    document.title = `${model.name} · vaelab explorer`;
    byId("facts").replaceChildren(...model.facts.map(([what, value]) => el("div", {}, [el("dt", {}, [what]), el("dd", {}, [value])])));
    byId("results").replaceChildren(
      ...model.results.map(([what, value, meaning]) => el("div", { title: meaning }, [el("dt", {}, [what]), el("dd", {}, [value])])),
    );
    byId("meanings").replaceChildren(
      ...model.results.flatMap(([what, value, meaning]) => [el("dt", {}, [`${what}: ${value}`]), el("dd", {}, [meaning])]),
    );
    byId("all-facts").replaceChildren(...model.facts.flatMap(([what, value]) => [el("dt", {}, [what]), el("dd", {}, [value])]));
    mapTools(app);
    legend(app);
  };
  if (models.length > 1) {
    const options = models.map((model): [string, string] => [String(model.index), shortened(model.name, 48)]);
    byId("model-choice").append(choices("model", "Model", options, String(store.state.model), (index) => choose(app, Number(index))));
  }
  store.on(["model", "points", "backdrop"], () => legend(app));
  store.on(["model"], update);
  store.on(["label"], () => current(app).conditional && mapTools(app));
  onTheme(() => legend(app));
  update();
}

// Another model: z and the pins stay where they mean the same, in a space of as many dimensions.
export function choose(app: App, index: number): void {
  const { store, models } = app;
  const [old, next] = [current(app), models[index]];
  const same = old.latent === next.latent && old.support === next.support && next.support === "real";
  const pins = same ? null : firstPins(next);
  store.set({
    model: index,
    hover: null,
    example: null,
    label: next.classes.some(({ label }) => label === store.state.label) ? store.state.label : (next.classes[0]?.label ?? 0),
    axes: old.latent === next.latent ? store.state.axes : firstAxes(next),
    ...(same ? {} : { z: codeOf(next, 0), a: pins?.[0] ?? null, b: pins?.[1] ?? null }),
  });
}

function mapTools(app: App): void {
  const { store } = app;
  const model = current(app);
  const tools: HTMLElement[] = [];
  if (model.latent > 2) {
    const { axes } = store.state;
    const set = (next: Axes): void => {
      store.set({ axes: next });
      mapTools(app);
    };
    const order = dimensionsByKl(model);
    const kinds: [string, string][] = [["principal", "principal components"], ["two", "two dimensions"]];
    if (model.support !== "codes") {
      tools.push(select("Map of", kinds, axes === "principal" ? "principal" : "two", (kind) =>
        set(kind === "principal" ? "principal" : [order[0], order[1]]), "axes"));
    }
    if (axes !== "principal") {
      const options = order.map((d): [string, string] => [String(d), dimensionName(d)]);
      for (const [place, text] of [[0, "across"], [1, "up"]] as const) {
        tools.push(select(text, options.filter(([d]) => Number(d) !== axes[1 - place]), String(axes[place]), (d) =>
          set(place === 0 ? [Number(d), axes[1]] : [axes[0], Number(d)]), `axis-${text}`));
      }
    }
  }
  if (model.conditional) {
    const options = model.classes.map(({ label, name }): [string, string] => [String(label), shortened(name, 40)]);
    const pick = select("Class that is drawn", options, String(store.state.label), (label) => store.set({ label: Number(label) }), "label");
    tools.push(pick);
  }
  tools.push(
    checkbox("test images", store.state.points, (points) => store.set({ points }), "points"),
    checkbox("decoded images", store.state.backdrop, (backdrop) => store.set({ backdrop }), "backdrop"),
  );
  const focused = document.activeElement?.getAttribute("data-testid");
  byId("map-tools").replaceChildren(...tools);
  if (focused) byId("map-tools").querySelector<HTMLElement>(`[data-testid="${focused}"]`)?.focus();
}

function legend(app: App): void {
  const model = current(app);
  const { dark } = theme();
  const key = (kind: string, text: string): HTMLElement => el("li", {}, [el("span", { class: `key ${kind}`, "aria-hidden": "true" }), text]);
  const items = [key("dense", `where the codes of ${model.count.toLocaleString("en")} test images are dense`)];
  if (model.support === "real") items.push(key("prior", "1, 2, 3 standard deviations of the prior"));
  if (model.support === "sphere") items.push(key("sphere", "edge of the sphere of all z"));
  if (model.support !== "codes") items.push(key("hole", "holes: the prior draws z there, but hardly any test image has its code there"));
  if (model.support === "codes") items.push(key("none", "a place stands for the nearest code of a test image"));
  if (model.latent > 2) items.push(key("none", "a shadow of all dimensions: places that look close can be far apart"));
  byId("legend").replaceChildren(...items);
  const names = model.codeLabels.length > 0 ? model.classes : [];
  byId("classes").replaceChildren(
    ...names.map(({ name }, index) => {
      const dot = el("span", { class: "dot", "aria-hidden": "true" });
      dot.style.backgroundColor = classColour(index, names.length, dark);
      return el("li", { title: name }, [dot, shortened(name, 40)]);
    }),
  );
}
