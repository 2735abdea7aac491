// Starts the models of the page: unpacks them, and puts them into a worker, or asks the program that serves the page.

import { type Numbers } from "./arrays";
import { type Contents, type Model, type Packed } from "./data";
import { type Answer, type Call, type Engine } from "./engine";
import { inflated, unpacked } from "./packed";
import { serverOf } from "./served";
import { listen } from "./worker";

export interface Started {
  contents: Contents;
  engine: Engine;
  array(packed: Packed): Numbers;
}

type Run = (call: Call) => Promise<Answer>;

interface Waiting {
  call: Call;
  slot: string | undefined;
  resolve(answer: Answer | null): void;
}

// The script of the page is also that of the worker: in the worker there is no document.
export const inWorker = typeof document === "undefined";
if (inWorker) listen();

export async function start(): Promise<Started> {
  const contents = JSON.parse(text("contents")) as Contents;
  const buffer = await inflated(text("packed"));
  const bytes = new Uint8Array(buffer.slice(0));
  const array = (packed: Packed) => unpacked(packed, bytes);
  if (contents.served) return { contents, engine: engineOf(serverOf(contents)), array };
  const own = document.getElementById("source")!.textContent!;
  const worker = new Worker(URL.createObjectURL(new Blob([own], { type: "text/javascript" })));
  worker.postMessage({ contents, bytes: buffer }, [buffer]);
  return { contents, engine: engineOf(workerOf(worker)), array };
}

function text(id: string): string {
  return document.getElementById(id)!.textContent!;
}

// The pixels that a model reads, for levels 0 to 255.
export function pixels(model: Pick<Model, "levels">, levels: ArrayLike<number>): Float32Array {
  switch (model.levels) {
    case "binary":
      return Float32Array.from(levels, (level) => (level >= 128 ? 1 : 0));
    case "8bit":
      return Float32Array.from(levels, (level) => (level + 0.5) / 256);
    default:
      return Float32Array.from(levels, (level) => level / 255);
  }
}

function workerOf(worker: Worker): Run {
  return (call) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<{ answer?: Answer; error?: string }>) => {
        if (data.error === undefined) resolve(data.answer!);
        else reject(new Error(`The model could not compute this (${data.error}). Try another place, or reload the page.`));
      };
      worker.onerror = () => reject(new Error("The model could not start in this browser. Try another browser."));
      worker.postMessage({ number: 0, call });
    });
}

// What is wrong, for the reader; nothing if the sentence is empty.
function tell(sentence: string): void {
  const failure = document.getElementById("failure")!;
  failure.textContent = sentence;
  failure.hidden = sentence === "";
}

// Runs one call at a time. A call that fails is answered with null, and the page says why until that function succeeds.
function engineOf(run: Run): Engine {
  const queue: Waiting[] = [];
  let running = false;
  let failed: Call["name"] | undefined;

  function next(): void {
    const first = running ? undefined : queue.shift();
    if (first === undefined) return;
    running = true;
    run(first.call)
      .then(
        (answer) => [answer, ""] as const,
        (error: Error) => [null, error.message] as const,
      )
      .then(([answer, sentence]) => {
        if (sentence !== "" || first.call.name === failed) {
          tell(sentence);
          failed = sentence === "" ? undefined : first.call.name;
        }
        first.resolve(answer);
      })
      .finally(() => {
        running = false;
        next();
      });
  }

  return {
    ready: Promise.resolve(),
    call(call, slot) {
      return new Promise((resolve) => {
        const waiting = { call, slot, resolve };
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
