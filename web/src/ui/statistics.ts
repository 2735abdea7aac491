// Quantiles, moments, and how unusual a number is.

export interface Estimate {
  mean: number;
  error: number; // standard error of the mean; 0 for one number
}

export function estimate(numbers: readonly number[]): Estimate {
  const n = numbers.length;
  const mean = numbers.reduce((sum, x) => sum + x, 0) / n;
  if (n < 2) return { mean, error: 0 };
  const squares = numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { mean, error: Math.sqrt(squares / (n - 1) / n) };
}

// The value below which the share `q` of sorted numbers lies, between neighbours by a straight line.
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const place = Math.min(1, Math.max(0, q)) * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

// The share of sorted numbers below x: the inverse of `quantile` inside their range, 0 or 1 outside.
export function share(sorted: ArrayLike<number>, x: number): number {
  const last = sorted.length - 1;
  if (last < 1 || x <= sorted[0]) return 0;
  if (x >= sorted[last]) return 1;
  const low = countBelow(sorted, x) - 1;
  if (low < 0) return 0;
  const step = sorted[low + 1] - sorted[low];
  return (low + (step > 0 ? (x - sorted[low]) / step : 0)) / last;
}

// How many of the sorted numbers are < x.
export function countBelow(sorted: ArrayLike<number>, x: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface Unusual {
  p: number;
  asHigh: number; // validation images with a score at least as high
  of: number;
}

// Conformal p-value (1 + #{validation >= s}) / (n + 1): a new image of the same kind has p <= a with probability at most a.
export function unusual(validation: ArrayLike<number>, score: number): Unusual {
  const of = validation.length;
  const asHigh = of - countBelow(validation, score);
  return { p: (1 + asHigh) / (of + 1), asHigh, of };
}

// A random number generator with a seed (mulberry32): uniform in [0, 1).
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
