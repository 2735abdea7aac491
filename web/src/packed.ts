// The packed bytes of the page as arrays: see vaelab/explorer/pack.py.

import { size, type Dtype, type Numbers } from "./arrays";
import { type Packed } from "./data";
import { type Constant } from "./program";

const BYTES = { float16: 2, float32: 4, float64: 8, int32: 4, bool: 1, uint8: 1 };

export async function inflated(base64: string): Promise<ArrayBuffer> {
  const letters = atob(base64);
  const packed = new Uint8Array(letters.length);
  for (let i = 0; i < packed.length; i++) packed[i] = letters.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

// Reads an array: its bytes lie in planes, the first byte of all numbers before the second.
export function unpacked({ shape, dtype, at }: Packed, bytes: Uint8Array): Numbers {
  const length = size(shape);
  const width = BYTES[dtype];
  const own = new Uint8Array(length * width);
  for (let plane = 0, from = at; plane < width; plane++) {
    for (let i = 0; i < length; i++, from++) own[i * width + plane] = bytes[from];
  }
  switch (dtype) {
    case "float16":
      return widened(new Uint16Array(own.buffer));
    case "float32":
      return new Float32Array(own.buffer);
    case "float64":
      return new Float64Array(own.buffer);
    case "int32":
      return new Int32Array(own.buffer);
    default:
      return own;
  }
}

export function constants(arrays: readonly Packed[], bytes: Uint8Array): Constant[] {
  return arrays.map((packed) => {
    const dtype: Dtype = packed.dtype === "float16" ? "float32" : packed.dtype === "uint8" ? "bool" : packed.dtype;
    return { dtype, length: size(packed.shape), write: (into) => into.set(unpacked(packed, bytes)) };
  });
}

function widened(numbers: Uint16Array): Float32Array {
  const found = new Float32Array(numbers.length);
  const known = halves();
  for (let i = 0; i < found.length; i++) found[i] = known[numbers[i]];
  return found;
}

let table: Float32Array | undefined;

// The number of each of the 65,536 float16.
function halves(): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, half) => {
    const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 1023];
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    return sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
  return table;
}
