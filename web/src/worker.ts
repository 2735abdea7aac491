// The worker: holds the programs, and answers calls in their order.

import { type Numbers } from "./arrays";
import { type Contents, type FunctionName } from "./data";
import { type Answer, type Call, type Start } from "./engine";
import { normal, uniform } from "./noise";
import { constants } from "./packed";
import { Programs } from "./program";

interface Asked {
  number: number;
  call: Call;
}

let contents: Contents;
let bytes: Uint8Array;
const models: Programs<FunctionName>[] = [];

function programs(model: number): Programs<FunctionName> {
  return (models[model] ??= new Programs(contents.models[model].programs, constants(contents.arrays, bytes)));
}

export function answer({ model, name, inputs, noise, wanted, seed }: Call): Answer {
  const runner = programs(model).get(name);
  const ports = runner.program.noise;
  const given =
    noise === "zero"
      ? ports.map(({ kind, shape }) => new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(kind === "normal" ? 0 : 0.5))
      : noise === "draw"
        ? ports.map(({ kind, shape }, i) => (kind === "normal" ? normal : uniform)(shape, (seed ?? 0) + i * 7919))
        : noise;
  return runner.run(inputs, given, wanted);
}

export function listen(): void {
  self.onmessage = ({ data }: MessageEvent<Start | Asked>) => {
    if ("contents" in data) {
      contents = data.contents;
      bytes = new Uint8Array(data.bytes);
      return;
    }
    try {
      const found = answer(data.call);
      const buffers = Object.values(found).map((array: Numbers) => array.buffer as ArrayBuffer);
      self.postMessage({ number: data.number, answer: found }, { transfer: buffers });
    } catch (error) {
      self.postMessage({ number: data.number, error: String(error) });
    }
  };
}
