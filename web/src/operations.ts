// The interpreter's table of operations. Its keys are the names of steps in vaelab/explorer/rules.py.

import { eachRow, gathered, size, type Numbers, type View } from "./arrays";
import { ELEMENTWISE, type Settings } from "./elementwise";
import { type Heap } from "./heap";
import { columns, overlapped } from "./patches";

export type Operation = (
  out: Numbers,
  shape: readonly number[],
  views: readonly View[],
  settings: Settings,
  heap: Heap,
) => void;

// Reductions: the last axes, of lengths `over`, become one number.
function reduction(reduce: (row: Numbers) => number): Operation {
  return (out, shape, [x], { over }) => {
    const row = new Float64Array(size(over));
    const kept = shape.length;
    const inner = { data: x.data, strides: x.strides.slice(kept), offset: 0 };
    const outer = { data: x.data, strides: x.strides.slice(0, kept), offset: x.offset };
    eachRow([...shape, 1], [{ ...outer, strides: [...outer.strides, 0] }], (start, [from]) => {
      inner.offset = from;
      out[start] = reduce(gathered(inner, over, row));
    });
  };
}

function best(better: (x: number, y: number) => boolean): (row: Numbers) => number {
  return (row) => {
    let at = 0;
    for (let i = 1; i < row.length; i++) if (better(row[i], row[at])) at = i;
    return at;
  };
}

function total(row: Numbers): number {
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i];
  return sum;
}

function folded(start: number, f: (x: number, y: number) => number): (row: Numbers) => number {
  return (row) => {
    let so_far = start;
    for (let i = 0; i < row.length; i++) so_far = f(so_far, row[i]);
    return so_far;
  };
}

// Operations that turn each row of the last axis into another row.
function rowwise(change: (row: Float64Array) => void): Operation {
  return (out, shape, [x]) => {
    const last = shape.length - 1;
    const [n, dx] = [shape[last], x.strides[last]];
    const row = new Float64Array(n);
    eachRow(shape, [x], (start, [from]) => {
      for (let i = 0; i < n; i++) row[i] = x.data[from + i * dx];
      change(row);
      out.set(row, start);
    });
  };
}

function largest(row: Float64Array): number {
  let found = -Infinity;
  for (let i = 0; i < row.length; i++) if (row[i] > found) found = row[i];
  return found;
}

function softmax(row: Float64Array): void {
  const top = largest(row);
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i] = Math.exp(row[i] - top);
  for (let i = 0; i < row.length; i++) row[i] /= sum;
}

function logSoftmax(row: Float64Array): void {
  const top = largest(row);
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i] - top);
  const constant = top + Math.log(sum);
  for (let i = 0; i < row.length; i++) row[i] -= constant;
}

function cumulative(f: (x: number, y: number) => number): (row: Float64Array) => void {
  return (row) => {
    for (let i = 1; i < row.length; i++) row[i] = f(row[i - 1], row[i]);
  };
}

// Rows of the last axes, of lengths `over`, with mean 0 and variance 1.
function normalise(out: Numbers, shape: readonly number[], [x]: readonly View[], { over, eps }: Settings): void {
  gathered(x, shape, out);
  const n = size(over);
  for (let start = 0; start < out.length; start += n) {
    let sum = 0;
    let squares = 0;
    for (let i = start; i < start + n; i++) sum += out[i];
    const mean = sum / n;
    for (let i = start; i < start + n; i++) squares += (out[i] - mean) ** 2;
    const factor = 1 / Math.sqrt(squares / n + eps);
    for (let i = start; i < start + n; i++) out[i] = (out[i] - mean) * factor;
  }
}

// out[b, m, n] = sum over k of a[b, m, k] b[b, k, n], plus a bias. a has no gaps, and b is [N, K] or [K, N] without gaps.
function matmul(out: Numbers, shape: readonly number[], views: readonly View[], { depth }: Settings, heap: Heap): void {
  const [a, b, bias] = views;
  const [batches, rows, columns] = shape;
  if (bias === undefined) out.fill(0);
  else gathered(bias, shape, out);
  const transposed = b.strides[1] === 1 && (columns === 1 || b.strides[2] !== 1);
  const fast = out instanceof Float32Array;
  for (let batch = 0; batch < batches; batch++) {
    const left = a.offset + batch * a.strides[0];
    const right = b.offset + batch * b.strides[0];
    const to = batch * rows * columns;
    const places = fast ? [place(out, to), place(a.data, left), place(b.data, right)] : [];
    if (!fast) slowly(out, to, a, left, b, right, [rows, columns, depth]);
    else if (!transposed) heap.kernels.products(places[0], places[1], places[2], rows, depth, columns);
    else {
      for (let m = 0; m < rows; m++) {
        heap.kernels.dots(places[0] + 4 * m * columns, places[1] + 4 * m * depth, places[2], depth, columns);
      }
    }
  }
}

function place(data: Numbers, index: number): number {
  return data.byteOffset + index * data.BYTES_PER_ELEMENT;
}

// For numbers of another type than the kernels have.
function slowly(out: Numbers, to: number, a: View, left: number, b: View, right: number, sizes: number[]): void {
  const [rows, columns, depth] = sizes;
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < columns; n++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) {
        sum += a.data[left + m * a.strides[1] + k * a.strides[2]] * b.data[right + k * b.strides[1] + n * b.strides[2]];
      }
      out[to + m * columns + n] += sum;
    }
  }
}

// Elements at places that other arrays give; a negative one counts from the end.
function index(out: Numbers, shape: readonly number[], views: readonly View[], settings: Settings): void {
  const [x, ...indices] = views;
  const { strides, sizes } = settings;
  const last = shape.length - 1;
  const n = last < 0 ? 1 : shape[last];
  eachRow(shape, views, (start, starts) => {
    for (let i = 0; i < n; i++) {
      let from = starts[0] + (last < 0 ? 0 : i * x.strides[last]);
      for (let j = 0; j < indices.length; j++) {
        const of = indices[j].data[starts[j + 1] + (last < 0 ? 0 : i * indices[j].strides[last])];
        from += (of < 0 ? of + sizes[j] : of) * strides[j];
      }
      out[start + i] = x.data[from];
    }
  });
}

// Each operand is written at its place; the rest is filled with one number.
function placed(out: Numbers, shape: readonly number[], views: readonly View[], settings: Settings): void {
  const { fill, places, sizes } = settings;
  if (fill !== 0) out.fill(fill);
  const own = shape.map((_, axis) => size(shape.slice(axis + 1)));
  views.forEach((view, i) => {
    const offset = own.reduce((sum, stride, axis) => sum + stride * places[i][axis], 0);
    const into = { data: out, strides: own, offset };
    const last = shape.length - 1;
    eachRow(sizes[i], [view, into], (_, [from, to]) => {
      for (let j = 0; j < sizes[i][last]; j++) out[to + j] = view.data[from + j * view.strides[last]];
    });
  });
}

// X with A X = B, for triangular A [..., n, n] and B [..., n, k].
function solve(out: Numbers, shape: readonly number[], [a, b]: readonly View[], { upper, unit }: Settings): void {
  const last = shape.length - 1;
  const [n, k] = [shape[last - 1], shape[last]];
  const [ai, aj] = [a.strides[last - 1], a.strides[last]];
  const [bi, bj] = [b.strides[last - 1], b.strides[last]];
  const outer = (view: View): View => ({ ...view, strides: [...view.strides.slice(0, last - 1), 0] });
  eachRow([...shape.slice(0, last - 1), 1], [outer(a), outer(b)], (batch, [at, from]) => {
    for (let column = 0; column < k; column++) {
      for (let step = 0; step < n; step++) {
        const i = upper ? n - 1 - step : step;
        let sum = b.data[from + i * bi + column * bj];
        for (let s = 0; s < step; s++) {
          const j = upper ? n - 1 - s : s;
          sum -= a.data[at + i * ai + j * aj] * out[batch * n * k + j * k + column];
        }
        out[batch * n * k + i * k + column] = unit ? sum : sum / a.data[at + i * ai + i * aj];
      }
    }
  });
}

export const OPERATIONS: Record<string, Operation> = {
  ...ELEMENTWISE,
  sum: reduction(total),
  mean: reduction((row) => total(row) / row.length),
  amax: reduction(folded(-Infinity, Math.max)),
  amin: reduction(folded(Infinity, Math.min)),
  prod: reduction(folded(1, (x, y) => x * y)),
  any: reduction(folded(0, (x, y) => (x !== 0 || y !== 0 ? 1 : 0))),
  argmin: reduction(best((x, y) => x < y)),
  argmax: reduction(best((x, y) => x > y)),
  softmax: rowwise(softmax),
  log_softmax: rowwise(logSoftmax),
  cumsum: rowwise(cumulative((x, y) => x + y)),
  cumprod: rowwise(cumulative((x, y) => x * y)),
  normalise,
  matmul,
  columns,
  overlapped,
  index,
  place: placed,
  solve,
};
