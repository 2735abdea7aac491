// The page: reads what Python has written into it, and puts its parts together.

import { inWorker, start } from "./start";
import { read, written } from "./ui/address";
import { type App } from "./ui/app";
import { firstAxes } from "./ui/atlas";
import { byId } from "./ui/dom";
import { mountHeader } from "./ui/header";
import { mountLive } from "./ui/live";
import { mountMap } from "./ui/map";
import { Asker, classOf, codeOf, loaded } from "./ui/models";
import { mountOwn } from "./ui/own";
import { mountPoint } from "./ui/point";
import { mountSamples } from "./ui/samples";
import { mountSide } from "./ui/side";
import { mountSliders } from "./ui/sliders";
import { makeStore, type State, type Store } from "./ui/state";
import { firstPins, mountStrip } from "./ui/strip";

// What tests look into
export { OPERATIONS } from "./operations";
export { constants, inflated } from "./packed";
export { Programs } from "./program";

const WRITTEN_AFTER = 250; // milliseconds: browsers limit how often an address may change

async function main(): Promise<void> {
  const { contents, engine, array } = await start();
  const models = loaded(contents, array);
  const kept = read(location.hash, models.map((model) => model.latent));
  const model = models[kept.model ?? 0];
  const pins = firstPins(model);
  const first: State = {
    model: model.index,
    z: codeOf(model, 0),
    hover: null,
    view: "mean",
    seed: 1,
    axes: firstAxes(model),
    label: (classOf(model, 0) ?? model.classes[0])?.label ?? 0,
    a: pins?.[0] ?? null,
    b: pins?.[1] ?? null,
    path: "straight",
    backdrop: false,
    points: true,
    units: "sd",
    temperature: 1,
    sampleSeed: 1,
    example: null,
    own: null,
    ...kept,
  };
  const store = makeStore(first);
  const app: App = { models, asker: new Asker(engine), store };
  byId("version").textContent = contents.version;
  mountHeader(app);
  const map = mountMap(app);
  mountLive(app);
  mountPoint(app);
  mountStrip(app);
  mountSliders(app);
  mountOwn(app, map);
  mountSamples(app);
  mountSide(app);
  keepAddress(store);
  await engine.ready;
  document.documentElement.dataset["ready"] = "1";
}

function keepAddress(store: Store): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  store.on(["model", "z", "view", "axes", "label", "a", "b", "path", "backdrop"], () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      try {
        history.replaceState(null, "", written(store.state));
      } catch {
        // A page inside another one has no address of its own
      }
    }, WRITTEN_AFTER);
  });
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  byId("failure").textContent = `This page could not start: ${message}`;
  byId("failure").hidden = false;
}

if (!inWorker && document.getElementById("contents") !== null) main().catch(fail);
