// One memory for all arrays of a model, in which the kernels work.

import { BYTES, type Dtype, type Numbers } from "./arrays";
import base64 from "./kernels.wat";

const PAGE = 65536; // bytes
const ALIGNED = 16;

interface Kernels {
  products(out: number, a: number, b: number, m: number, k: number, n: number): void;
  dots(out: number, x: number, w: number, k: number, n: number): void;
}

const MODULE = new WebAssembly.Module(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));

export function bytesOf(dtype: Dtype, length: number): number {
  return Math.ceil((BYTES[dtype] * Math.max(1, length)) / ALIGNED) * ALIGNED;
}

export class Heap {
  readonly kernels: Kernels;
  private memory: WebAssembly.Memory;
  private used = 0;

  constructor(bytes: number) {
    this.memory = new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(bytes / PAGE)) });
    const instance = new WebAssembly.Instance(MODULE, { env: { memory: this.memory } });
    this.kernels = instance.exports as unknown as Kernels;
  }

  array(dtype: Dtype, length: number): Numbers {
    const at = this.used;
    this.used += bytesOf(dtype, length);
    const { buffer } = this.memory;
    switch (dtype) {
      case "float32":
        return new Float32Array(buffer, at, length);
      case "float64":
        return new Float64Array(buffer, at, length);
      case "int32":
        return new Int32Array(buffer, at, length);
      case "bool":
        return new Uint8Array(buffer, at, length);
    }
  }
}
