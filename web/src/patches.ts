// The patches of images, as the columns of a matrix, and the way back: a convolution is a product with such a matrix.

import { type Numbers, type View } from "./arrays";
import { type Settings } from "./elementwise";

type Visit = (row: number, place: number, count: number, step: number, from: number) => void;

// Calls `visit` for each run of pixels of the image [N, C, H, W] that lie in one row of the matrix
// [N, C * kh * kw, H' * W']: `count` places from `place` on are the pixels `from`, `from + step`, ...
function eachRun({ input, kernel, output, stride, padding, dilation }: Settings, visit: Visit): void {
  const [n, channels, rows, columns] = input;
  const [kh, kw] = kernel;
  const [height, width] = output;
  const step = stride[1];
  for (let plane = 0, row = 0; plane < n * channels; plane++) {
    for (let i = 0; i < kh; i++) {
      const down = i * dilation[0] - padding[0];
      for (let j = 0; j < kw; j++, row++) {
        const right = j * dilation[1] - padding[1];
        const first = Math.max(0, Math.ceil(-right / step));
        const end = Math.min(width, Math.ceil((columns - right) / step));
        if (end <= first) continue;
        for (let y = 0; y < height; y++) {
          const from = y * stride[0] + down;
          if (from < 0 || from >= rows) continue;
          const pixel = (plane * rows + from) * columns + first * step + right;
          visit(row, y * width + first, end - first, step, pixel);
        }
      }
    }
  }
}

export function columns(out: Numbers, shape: readonly number[], [x]: readonly View[], settings: Settings): void {
  const places = shape[shape.length - 1];
  const { data } = x;
  // What lies outside the image stays 0: an array is new in the first run, and later runs write the same places
  eachRun(settings, (row, place, count, step, from) => {
    const to = row * places + place;
    for (let i = 0; i < count; i++) out[to + i] = data[from + i * step];
  });
}

export function overlapped(out: Numbers, _: readonly number[], [x]: readonly View[], settings: Settings): void {
  const { data } = x;
  const places = settings.output[0] * settings.output[1];
  out.fill(0);
  eachRun(settings, (row, place, count, step, to) => {
    const from = row * places + place;
    for (let i = 0; i < count; i++) out[to + i * step] += data[from + i];
  });
}
