// An image of the visitor's own: what q(z|x) says of it, its bound, and how unusual it is.

import { pixels } from "../start";
import { current, labelFor, type App } from "./app";
import { codeGrid } from "./codes";
import { byId, checkbox, choices, el, fixed, nats } from "./dom";
import { fileOf, NotAnImage, open } from "./files";
import { type MapView } from "./map";
import { canRun, isDark, type Bound, type Loaded } from "./models";
import { imageCanvas, paint } from "./paint";
import { mountPen, type Drawing, type Paper } from "./pen";
import { converted, type Rgba } from "./picture";
import { type Vector } from "./plane";
import { estimate, unusual, type Estimate } from "./statistics";

const FIRST_SEED = 1;
const BOX = 168;

export function mountOwn(app: App, map: MapView): void {
  const { store } = app;
  let picture: Rgba | null = null;
  let notes: string[] = [];
  let paper: Paper = "black";
  let swapped = false;
  let pad: Drawing;
  let code: Vector | null = null;
  let turn = 0;
  let opening = 0;

  const convert = (): void => {
    if (!picture) return;
    const model = current(app);
    const { pixels: levels, steps } = converted(picture, { image: model.image, binary: model.binary, paper, swapped });
    const own = pixels(model, levels.map((level) => Math.round(255 * level)));
    byId("own-steps").textContent = [...notes, ...steps].join("; ") + (notes.length + steps.length > 0 ? "." : "");
    byId("own-error").textContent = "";
    store.set({ own: { pixels: own, shape: model.image } });
  };
  const ask = async (): Promise<void> => {
    const { own, label } = store.state;
    const model = current(app);
    const mine = ++turn;
    if (!own || String(own.shape) !== String(model.image) || !canRun(model, "encode")) return;
    const given = labelFor(model, label);
    const posterior = await app.asker.encode(model, own.pixels, given, "own q");
    if (mine !== turn || !posterior) return;
    map.showPosterior(posterior);
    code = posterior.mean;
    if (!canRun(model, "bound")) return;
    const bounds: Bound[] = [];
    for (let i = 0; i < model.draws; i++) {
      const bound = await app.asker.bound(model, own.pixels, given, "own bound", FIRST_SEED + i);
      if (mine !== turn || !bound) return;
      bounds.push(bound);
      if (i === 0) showPictures(model, own.pixels, bound);
    }
    showNumbers(model, bounds);
  };
  const take = async (file: Blob | null): Promise<void> => {
    if (!file) return say("There was no image in it: drop or paste an image file.");
    const mine = ++opening;
    say("");
    try {
      const opened = await open(file);
      if (mine !== opening) return; // another file was given meanwhile
      [picture, notes] = [opened.picture, opened.notes];
      convert();
    } catch (error) {
      if (!(error instanceof NotAnImage)) throw error;
      if (mine === opening) say(error.message);
    }
  };
  const forget = (): void => {
    [picture, notes] = [null, []];
    turn++;
    store.set({ own: null });
    map.showPosterior(null);
    byId("own-result").hidden = true;
  };
  const setUp = (): void => {
    const model = current(app);
    byId("own").hidden = !canRun(model, "encode");
    if (picture) {
      map.showPosterior(null);
      return convert();
    }
    paper = isDark(model) ? "black" : "white";
    swapped = false;
    pad = mountPen(model.image, paper, (drawn) => {
      [picture, notes] = [drawn, []];
      convert();
    });
    byId("own-options").replaceChildren(
      choices<Paper>("paper", "Behind it", [["black", "on black"], ["white", "on white"]], paper, (next) => {
        paper = next;
        pad.clear(paper);
        convert();
      }),
      checkbox("swap light and dark", swapped, (on) => {
        swapped = on;
        convert();
      }, "swap"),
    );
  };

  const input = byId<HTMLInputElement>("own-file");
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) void take(file);
  });
  byId("own-forget").addEventListener("click", () => {
    pad.clear(paper);
    forget();
  });
  byId("own-go").addEventListener("click", () => {
    if (!code) return;
    store.set({ z: code, hover: null, example: null });
    byId("map").focus();
  });
  listenForFiles(take);
  store.on(["model"], setUp);
  store.on(["own", "label", "model"], () => void ask());
  setUp();
}

function say(message: string): void {
  byId("own-error").textContent = message;
}

function listenForFiles(take: (file: File | null) => Promise<void>): void {
  const body = document.body;
  addEventListener("dragover", (event) => {
    event.preventDefault();
    body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    body.classList.remove("dropping");
    byId("own").scrollIntoView({ block: "nearest" });
    void take(fileOf(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    const file = fileOf(event.clipboardData);
    if (file) void take(file);
  });
}

function showPictures(model: Loaded, given: Float32Array, bound: Bound): void {
  const seen = imageCanvas(model.image, BOX, "What the model is given", "own-image");
  const again = imageCanvas(model.image, BOX, "Its reconstruction", "own-reconstruction");
  paint(seen, given, model.image);
  paint(again, bound.mean, model.image);
  byId("own-pictures").replaceChildren(
    el("figure", {}, [seen, el("figcaption", {}, ["what the model is given"])]),
    el("figure", {}, [again, el("figcaption", {}, ["its reconstruction"])]),
    ...(bound.codes ? [codeGrid(model, bound.codes)] : []),
  );
  byId("own-result").hidden = false;
}

function showNumbers(model: Loaded, bounds: readonly Bound[]): void {
  const of = (pick: (bound: Bound) => number): string => withError(estimate(bounds.map(pick)));
  const rows = [
    ["−ELBO", of((bound) => bound.loss)],
    ["rate", of((bound) => bound.rate)],
    ["distortion", of((bound) => bound.distortion)],
  ];
  byId("own-facts").replaceChildren(...rows.flatMap(([what, value]) => [el("dt", {}, [what]), el("dd", {}, [value])]));
  byId("own-draws").textContent = `Mean of ${bounds.length} draws of z ± its standard error.`;
  byId("own-verdict").textContent = verdict(model, estimate(bounds.map((bound) => bound.loss)).mean);
}

function withError({ mean, error }: Estimate): string {
  return error > 0.005 ? `${nats(mean).replace(" nats", "")} ± ${fixed(error, error < 1 ? 2 : 1)} nats` : nats(mean);
}

// The score is the same mean over draws as that of the validation images.
export function verdict({ validation, validationOf }: Loaded, loss: number): string {
  if (validation.length === 0) return `How unusual it is cannot be said: ${validationOf || "the page has no validation images"}.`;
  const { p, asHigh, of } = unusual(validation, loss);
  const word = p <= 0.01 ? "very unusual" : p <= 0.05 ? "unusual" : "not unusual";
  const count = asHigh === 0 ? "none has" : asHigh === 1 ? "one has" : `${asHigh.toLocaleString("en")} have`;
  return `For this model the image is ${word}: of ${of.toLocaleString("en")} validation images, ${count} a −ELBO of ${nats(loss)} or more (p = ${Number(p.toPrecision(2))}).`;
}
