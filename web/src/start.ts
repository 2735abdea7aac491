// Starts the models of the page: unpacks them, and puts them into a worker.

import { type Numbers } from "./arrays";
import { type Contents, type Model, type Packed } from "./data";
import { type Answer, type Call, type Engine } from "./engine";
import { inflated, unpacked } from "./packed";
import { listen } from "./worker";

export interface Started {
  contents: Contents;
  engine: Engine;
  array(packed: Packed): Numbers;
}

interface Waiting {
  call: Call;
  slot: string | undefined;
  resolve(answer: Answer | null): void;
  reject(error: Error): void;
}

// The script of the page is also that of the worker: in the worker there is no document.
export const inWorker = typeof document === "undefined";
if (inWorker) listen();

export async function start(): Promise<Started> {
  const contents = JSON.parse(text("contents")) as Contents;
  const buffer = await inflated(text("packed"));
  const bytes = new Uint8Array(buffer.slice(0));
  const own = document.getElementById("program")!.textContent!;
  const worker = new Worker(URL.createObjectURL(new Blob([own], { type: "text/javascript" })));
  worker.postMessage({ contents, bytes: buffer }, [buffer]);
  return { contents, engine: engineOf(worker), array: (packed) => unpacked(packed, bytes) };
}

function text(id: string): string {
  return document.getElementById(id)!.textContent!;
}

// The pixels that a model reads, for levels 0 to 255.
export function pixels(model: Model, levels: ArrayLike<number>): Float32Array {
  switch (model.levels) {
    case "binary":
      return Float32Array.from(levels, (level) => (level >= 128 ? 1 : 0));
    case "8bit":
      return Float32Array.from(levels, (level) => (level + 0.5) / 256);
    default:
      return Float32Array.from(levels, (level) => level / 255);
  }
}

function engineOf(worker: Worker): Engine {
  const queue: Waiting[] = [];
  let running: Waiting | undefined;

  function next(): void {
    if (running !== undefined) return;
    running = queue.shift();
    if (running !== undefined) worker.postMessage({ number: 0, call: running.call });
  }

  worker.onmessage = ({ data }: MessageEvent<{ answer?: Answer; error?: string }>) => {
    const done = running!;
    running = undefined;
    if (data.error === undefined) done.resolve(data.answer!);
    else done.reject(new Error(data.error));
    next();
  };

  return {
    ready: Promise.resolve(),
    call(call, slot) {
      return new Promise((resolve, reject) => {
        const waiting = { call, slot, resolve, reject };
        const place = slot === undefined ? -1 : queue.findIndex((other) => other.slot === slot);
        if (place < 0) queue.push(waiting);
        else {
          queue[place].resolve(null);
          queue[place] = waiting;
        }
        next();
      });
    },
  };
}
