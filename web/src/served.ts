// Asks the program that serves the page: see vaelab/explorer/serve.py.

import { BYTES, size } from "./arrays";
import { type Contents } from "./data";
import { type Answer, type Call } from "./engine";
import { type Port } from "./program";

export function serverOf(contents: Contents): (call: Call) => Promise<Answer> {
  return async (call) => {
    const outputs = contents.models[call.model].programs[call.name]!.outputs;
    return read(await asked(call), call.wanted, outputs);
  };
}

async function asked(call: Call): Promise<ArrayBuffer> {
  const body = JSON.stringify(call, (_, value: unknown) => (value instanceof Float32Array ? Array.from(value) : value));
  const response = await fetch("call", { method: "POST", body }).catch(() => {
    throw new Error("The program that runs the models has stopped. Start it again with vaelab explore --serve.");
  });
  if (!response.ok) throw new Error(`The model gave no answer: ${await response.text()}`);
  return response.arrayBuffer();
}

// The answer has the numbers of each wanted output, one after the other.
function read(buffer: ArrayBuffer, wanted: readonly string[], outputs: Record<string, Port>): Answer {
  const answer: Answer = {};
  let at = 0;
  for (const name of wanted) {
    const { dtype, shape } = outputs[name];
    const own = buffer.slice(at, (at += size(shape) * BYTES[dtype]));
    answer[name] = new { float32: Float32Array, float64: Float64Array, int32: Int32Array, bool: Uint8Array }[dtype](own);
  }
  if (at !== buffer.byteLength) throw new Error("The model gave an answer of another shape.");
  return answer;
}
