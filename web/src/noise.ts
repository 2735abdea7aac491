// Noise that a seed decides (splitmix32).

import { size } from "./arrays";

function words(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

// From [0, 1): multiples of 2^-24, as torch has them.
export function uniform(shape: readonly number[], seed: number): Float32Array {
  const next = words(seed);
  return Float32Array.from({ length: size(shape) }, () => (next() >>> 8) * 2 ** -24);
}

// From N(0, 1) (Box & Muller 1958).
export function normal(shape: readonly number[], seed: number): Float32Array {
  const next = words(seed);
  const share = () => (next() >>> 8) * 2 ** -24;
  return Float32Array.from({ length: size(shape) }, () => {
    return Math.sqrt(-2 * Math.log(1 - share())) * Math.cos(2 * Math.PI * share());
  });
}
