// Arrays of numbers without gaps, in row-major order.

export type Numbers = Float32Array | Float64Array | Int32Array | Uint8Array;

export type Dtype = "float32" | "float64" | "int32" | "bool";

export const BYTES: Record<Dtype, number> = { float32: 4, float64: 8, int32: 4, bool: 1 };

export function empty(dtype: Dtype, length: number): Numbers {
  switch (dtype) {
    case "float32":
      return new Float32Array(length);
    case "float64":
      return new Float64Array(length);
    case "int32":
      return new Int32Array(length);
    case "bool":
      return new Uint8Array(length);
  }
}

export function size(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

// An array as a step reads it: one stride for each axis that the step goes through.
export interface View {
  data: Numbers;
  strides: readonly number[];
  offset: number;
}

// Calls `row(start, starts)` for each row of the last axis: `start` counts the numbers before it, and `starts` has the
// place of its first number in each view.
export function eachRow(
  shape: readonly number[],
  views: readonly View[],
  row: (start: number, starts: number[]) => void,
): void {
  const last = shape.length - 1;
  const starts = views.map((view) => view.offset);
  if (last < 1) {
    row(0, starts);
    return;
  }
  const index = new Array<number>(last).fill(0);
  const width = shape[last];
  const rows = size(shape.slice(0, last));
  for (let count = 0, start = 0; count < rows; count++, start += width) {
    row(start, starts);
    for (let axis = last - 1; axis >= 0; axis--) {
      index[axis]++;
      for (let i = 0; i < views.length; i++) starts[i] += views[i].strides[axis];
      if (index[axis] < shape[axis]) break;
      for (let i = 0; i < views.length; i++) starts[i] -= views[i].strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

// Copies a view of the given shape into an array without gaps.
export function gathered(view: View, shape: readonly number[], into: Numbers): Numbers {
  const last = shape.length - 1;
  const width = last < 0 ? 1 : shape[last];
  const stride = last < 0 ? 0 : view.strides[last];
  eachRow(shape, [view], (start, [from]) => {
    for (let i = 0; i < width; i++) into[start + i] = view.data[from + i * stride];
  });
  return into;
}
