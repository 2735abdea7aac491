// The models of the page with their arrays, and what one asks them.

import { type Numbers } from "../arrays";
import { type Contents, type FunctionName, type Model, type Packed } from "../data";
import { type Answer, type Call, type Engine } from "../engine";
import { pixels } from "../start";
import { norm, type Vector } from "./plane";
import { type View } from "./state";

export interface Loaded extends Omit<Model, "codeLabels" | "validation"> {
  index: number;
  count: number; // of codes
  codeRows: Numbers; // [count, D]
  codeLabels: Numbers;
  validation: Numbers;
  exampleCount: number;
  exampleRows: Numbers; // [n, C, H, W], levels
  drawCount: number;
  drawRows: Numbers; // [m, D]
  priorMean: Vector;
  radius: number; // of the sphere on which z lies; 0 if z is free
}

export interface Bound {
  rate: number; // nats
  distortion: number;
  loss: number; // -ELBO, nats
  mean: Numbers; // [C, H, W]
  z: Vector;
  codes: Numbers | null;
}

export interface Posterior {
  mean: Vector;
  scale: Vector | null; // null where it has no closed form
  codes: Numbers | null;
}

export function loaded(contents: Contents, array: (packed: Packed) => Numbers): Loaded[] {
  return contents.models.map((model, index) => {
    const drawRows = array(model.priorDraws);
    const drawCount = model.priorDraws.shape[0];
    const priorMean = new Float32Array(model.latent);
    for (let i = 0; i < drawRows.length; i++) priorMean[i % model.latent] += drawRows[i] / drawCount;
    const rows = Array.from({ length: drawCount }, (_, i) => norm(row(drawRows, model.latent, i)));
    return {
      ...model,
      index,
      count: model.codes.shape[0],
      codeRows: array(model.codes),
      codeLabels: array(model.codeLabels),
      validation: array(model.validation),
      exampleCount: model.examples.shape[0],
      exampleRows: array(model.examples),
      drawCount,
      drawRows,
      priorMean: model.support !== "real" ? new Float32Array(model.latent) : Float32Array.from(model.normalPrior?.mean ?? priorMean),
      radius: model.support === "sphere" ? rows.reduce((sum, r) => sum + r / drawCount, 0) : 0,
    };
  });
}

export function row(rows: Numbers, width: number, index: number): Vector {
  return Float32Array.from(rows.subarray(index * width, (index + 1) * width));
}

export function codeOf(model: Loaded, index: number): Vector {
  const z = row(model.codeRows, model.latent, index);
  if (model.radius === 0) return z;
  const scale = model.radius / (norm(z) || 1); // the mean of a distribution on the sphere lies inside
  return z.map((v) => v * scale);
}

export function exampleOf(model: Loaded, index: number): Float32Array {
  const size = model.image[0] * model.image[1] * model.image[2];
  return pixels(model, row(model.exampleRows, size, index));
}

// Whether the images are mostly dark.
export function isDark({ exampleRows }: Loaded): boolean {
  let sum = 0;
  for (const level of exampleRows) sum += level;
  return sum / Math.max(1, exampleRows.length) < 128;
}

// The class of a code; null without labels.
export function classOf(model: Loaded, index: number): Model["classes"][number] | null {
  return model.classes[model.codeLabels[index]] ?? null;
}

export function canRun(model: Loaded, name: FunctionName): boolean {
  return model.programs[name] !== undefined;
}

export function hasOutput(model: Loaded, name: FunctionName, output: string): boolean {
  return model.programs[name]?.outputs[output] !== undefined;
}

function total(numbers: Numbers): number {
  let sum = 0;
  for (const v of numbers) sum += v;
  return sum;
}

export class Asker {
  constructor(private engine: Engine) {}

  // The image of z: null if a newer question in the same slot has replaced this one.
  async decode(model: Loaded, z: Vector, label: number, view: View = "mean", slot?: string, seed = 1): Promise<Numbers | null> {
    const shown = hasOutput(model, "decode", view) ? view : "mean";
    const call = this.call(model, "decode", { z }, label, [shown]);
    const answer = await this.engine.call(shown === "draw" ? { ...call, noise: "draw", seed } : call, slot);
    return answer && answer[shown];
  }

  async encode(model: Loaded, image: Float32Array, label: number, slot?: string): Promise<Posterior | null> {
    const [mean, scale, codes] = ["mean", "scale", "codes"].map((name) => hasOutput(model, "encode", name));
    const wanted = [mean ? "mean" : "z", ...(scale ? ["scale"] : []), ...(codes ? ["codes"] : [])];
    const answer = await this.engine.call(this.call(model, "encode", { image }, label, wanted), slot);
    return (
      answer && {
        mean: Float32Array.from(answer[wanted[0]]),
        scale: scale ? Float32Array.from(answer["scale"]) : null,
        codes: codes ? answer["codes"] : null,
      }
    );
  }

  // The bound of one image in nats: with the mean of the noise, or with noise of a seed.
  async bound(model: Loaded, image: Float32Array, label: number, slot?: string, seed?: number): Promise<Bound | null> {
    const codes = hasOutput(model, "bound", "codes");
    const wanted = ["rate", "distortion", "mean", "z", ...(codes ? ["codes"] : [])];
    const call = this.call(model, "bound", { image }, label, wanted);
    const answer: Answer | null = await this.engine.call(seed === undefined ? call : { ...call, noise: "draw", seed }, slot);
    if (!answer) return null;
    const [rate, distortion] = [total(answer["rate"]), total(answer["distortion"]) + model.offset];
    const z = Float32Array.from(answer["z"]);
    return { rate, distortion, loss: rate + distortion, mean: answer["mean"], z, codes: codes ? answer["codes"] : null };
  }

  // A draw from the prior, from a seed or from given noise.
  async prior(model: Loaded, from: number | Float32Array[]): Promise<Vector | null> {
    const call = this.call(model, "prior", {}, 0, ["z"]);
    const answer = await this.engine.call(typeof from === "number" ? { ...call, noise: "draw", seed: from } : { ...call, noise: from });
    return answer && Float32Array.from(answer["z"]);
  }

  private call(model: Loaded, name: FunctionName, inputs: Call["inputs"], label: number, wanted: string[]): Call {
    const labelled = model.programs[name]?.inputs["label"] !== undefined;
    return { model: model.index, name, inputs: labelled ? { ...inputs, label: [label] } : inputs, noise: "zero", wanted };
  }
}
