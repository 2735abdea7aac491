// The packed bytes of the page as arrays: see vaelab/explorer/pack.py.

import { size, type Dtype, type Numbers } from "./arrays";
import { type Packed } from "./data";
import { type Constant } from "./program";

const BYTES = { float16: 2, float32: 4, float64: 8, int32: 4, bool: 1, uint8: 1 };

// The type of the numbers once they are unpacked
const AS: Record<Packed["dtype"], Dtype> = {
  steps: "float32",
  float16: "float32",
  float32: "float32",
  float64: "float64",
  int32: "int32",
  bool: "bool",
  uint8: "bool",
};

// Inflates bytes that are written as letters of seven bits, one of them flipped.
export async function inflated(letters: string): Promise<ArrayBuffer> {
  const packed = new Uint8Array(Math.floor((letters.length * 7) / 8));
  for (let i = 0, to = 0, bits = 0, held = 0; i < letters.length; i++) {
    held = ((held & 127) << 7) | ((letters.charCodeAt(i) ^ 64) & 127);
    bits += 7;
    if (bits >= 8) packed[to++] = held >> (bits -= 8);
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

export function unpacked({ shape, dtype, at, bits }: Packed, bytes: Uint8Array): Numbers {
  return dtype === "steps" ? stepped(shape, bytes.subarray(at), bits!) : whole({ shape, dtype, at }, bytes);
}

// Whole numbers times steps, 2^((exponent of the row + exponent of the column) / 4), in the order of their steps.
function stepped([rows, columns]: readonly number[], bytes: Uint8Array, bits: number): Float32Array {
  const exponents = new Int8Array(bytes.buffer, bytes.byteOffset, rows + columns);
  const length = rows * columns;
  const low = rows + columns;
  const high = new Int8Array(bytes.buffer, bytes.byteOffset + low + length, length);
  const place = (row: number, column: number) => exponents[row] + exponents[rows + column] + 256;
  const starts = new Int32Array(513); // of the numbers of each step
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) starts[place(row, column) + 1]++;
  for (let i = 1; i < starts.length; i++) starts[i] += starts[i - 1];
  const steps = Float64Array.from(starts, (_, i) => 2 ** ((i - 256) / 4));
  const found = new Float32Array(length);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, i++) {
      const step = place(row, column);
      const from = starts[step]++;
      found[i] = ((high[from] << bits) + bytes[low + from] - ((1 << bits) >> 1)) * steps[step];
    }
  }
  return found;
}

// Numbers of a type: their bytes lie in planes, the first byte of all numbers before the second.
function whole({ shape, dtype, at }: Packed & { dtype: Exclude<Packed["dtype"], "steps"> }, bytes: Uint8Array): Numbers {
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
    return { dtype: AS[packed.dtype], length: size(packed.shape), write: (into) => into.set(unpacked(packed, bytes)) };
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
