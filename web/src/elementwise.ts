// Operations that make each number from those at the same place.

import { eachRow, type Numbers, type View } from "./arrays";

export type Settings = Record<string, any>;

type Unary = (x: number) => number;
type Binary = (x: number, y: number) => number;

const SQRT_HALF = Math.SQRT1_2;

// The error function: the series near 0, a continued fraction of its complement elsewhere; to the precision of a double.
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * sum * (2 / Math.sqrt(Math.PI));
  }
  return Math.sign(x) * (1 - Math.exp(-a * a) * tail(a));
}

// The continued fraction of e^(a^2) erfc(a) for a from 2.5 on.
function tail(a: number): number {
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return 1 / Math.sqrt(Math.PI) / (a + fraction);
}

// e^(x^2) erfc(x).
function erfcx(x: number): number {
  if (x >= 2.5) return tail(x);
  return Math.exp(x * x) * (1 - erf(x));
}

const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360];

// log |Gamma(x)|: Stirling's series, after steps up to where it is exact to a double.
function lgamma(x: number): number {
  if (x <= 0) return x === Math.floor(x) ? Infinity : Math.log(Math.PI / Math.abs(Math.sin(Math.PI * x))) - lgamma(1 - x);
  let product = 1;
  for (; x < 10; x++) product *= x;
  const series = STIRLING.reduceRight((sum, term) => term + sum / (x * x), 0) / x;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - Math.log(product);
}

function tanhGelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}

// The remainder has the sign of the divisor, as in Python.
function remainder(x: number, y: number): number {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

// To the nearest, and to the even number from the middle.
function round(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

// What torch computes of NaN, Math.max and Math.min compute too.
const UNARY: Record<string, Unary> = {
  copy: (x: number) => x,
  abs: Math.abs,
  neg: (x: number) => -x,
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  log2: Math.log2,
  sqrt: Math.sqrt,
  square: (x: number) => x * x,
  rsqrt: (x: number) => 1 / Math.sqrt(x),
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
  relu: (x: number) => (x < 0 ? 0 : x),
  reciprocal: (x: number) => 1 / x,
  erf,
  erfc: (x: number) => (x > 0 ? Math.exp(-x * x) * erfcx(x) : 1 - erf(x)),
  special_erfcx: erfcx,
  lgamma,
  floor: Math.floor,
  ceil: Math.ceil,
  round,
  sign: Math.sign,
  isnan: (x: number) => (x !== x ? 1 : 0),
  isinf: (x: number) => (Math.abs(x) === Infinity ? 1 : 0),
  logical_not: (x: number) => (x === 0 ? 1 : 0),
  gelu: (x: number) => 0.5 * x * (1 + erf(x * SQRT_HALF)),
  gelu_tanh: tanhGelu,
};

const WITH_SETTINGS: Record<string, (settings: Settings) => Unary> = {
  clamp: ({ low, high }) => {
    const [least, most] = [low ?? -Infinity, high ?? Infinity];
    return (x) => (x < least ? least : x > most ? most : x);
  },
  elu: ({ alpha, scale, input_scale }) => {
    return (x) => (x > 0 ? scale * x : scale * alpha * Math.expm1(x * input_scale));
  },
  leaky_relu: ({ slope }) => (x) => (x > 0 ? x : slope * x),
};

const BINARY: Record<string, Binary> = {
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  pow: Math.pow,
  maximum: Math.max,
  minimum: Math.min,
  remainder,
  atan2: Math.atan2,
  eq: (x, y) => (x === y ? 1 : 0),
  ne: (x, y) => (x !== y ? 1 : 0),
  lt: (x, y) => (x < y ? 1 : 0),
  le: (x, y) => (x <= y ? 1 : 0),
  gt: (x, y) => (x > y ? 1 : 0),
  ge: (x, y) => (x >= y ? 1 : 0),
  logical_and: (x, y) => (x !== 0 && y !== 0 ? 1 : 0),
  logical_or: (x, y) => (x !== 0 || y !== 0 ? 1 : 0),
};

const SCALED: Record<string, (settings: Settings) => Binary> = {
  add: ({ alpha }) => (alpha === 1 ? (x, y) => x + y : (x, y) => x + alpha * y),
  sub: ({ alpha }) => (alpha === 1 ? (x, y) => x - y : (x, y) => x - alpha * y),
};

type Kernel = (out: Numbers, shape: readonly number[], views: readonly View[], settings: Settings) => void;

function width(shape: readonly number[]): number {
  return shape.length === 0 ? 1 : shape[shape.length - 1];
}

function stride(view: View): number {
  return view.strides.length === 0 ? 0 : view.strides[view.strides.length - 1];
}

// One loop for each operation: the compiler of the browser makes a fast loop of a function that calls one other only.
function loop1(make: (settings: Settings) => Unary): Kernel {
  return (out, shape, views, settings) => {
    const f = make(settings);
    const [x] = views;
    const [n, dx] = [width(shape), stride(x)];
    eachRow(shape, views, (start, [from]) => {
      for (let i = 0; i < n; i++) out[start + i] = f(x.data[from + i * dx]);
    });
  };
}

function loop2(make: (settings: Settings) => Binary): Kernel {
  return (out, shape, views, settings) => {
    const f = make(settings);
    const [x, y] = views;
    const [n, dx, dy] = [width(shape), stride(x), stride(y)];
    eachRow(shape, views, (start, [a, b]) => {
      for (let i = 0; i < n; i++) out[start + i] = f(x.data[a + i * dx], y.data[b + i * dy]);
    });
  };
}

function where(out: Numbers, shape: readonly number[], views: readonly View[]): void {
  const [condition, x, y] = views;
  const [n, dc, dx, dy] = [width(shape), stride(condition), stride(x), stride(y)];
  eachRow(shape, views, (start, [at, a, b]) => {
    for (let i = 0; i < n; i++) {
      out[start + i] = condition.data[at + i * dc] !== 0 ? x.data[a + i * dx] : y.data[b + i * dy];
    }
  });
}

function each<A, B>(table: Record<string, A>, make: (of: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(table).map(([name, of]) => [name, make(of)]));
}

export const ELEMENTWISE: Record<string, Kernel> = {
  ...each(UNARY, (f) => loop1(() => f)),
  ...each(WITH_SETTINGS, loop1),
  ...each(BINARY, (f) => loop2(() => f)),
  ...each(SCALED, loop2),
  where,
};
