// The models of the page. They run elsewhere, in a worker or in Python: the page stays alive meanwhile.

import { type Numbers } from "./arrays";
import { type Contents, type FunctionName } from "./data";

export interface Call {
  model: number;
  name: FunctionName;
  inputs: Record<string, number[] | Float32Array>;
  noise: "zero" | "draw" | Float32Array[]; // "zero": the mean where noise is normal, the median where it is uniform
  wanted: string[]; // names of outputs
  seed?: number; // for "draw": the same seed gives the same noise
}

export type Answer = Record<string, Numbers>;

// Calls are answered in their order. A newer call with the same `slot` replaces one that has not started: dragging
// leaves no queue. A replaced call is answered with null, as is one that failed.
export interface Engine {
  ready: Promise<void>;
  call(call: Call, slot?: string): Promise<Answer | null>;
}

// What the worker gets first.
export type Start = { contents: Contents; bytes: ArrayBuffer };
