// Convolutions of images [N, C, H, W]. The inner loop runs along a row of the image, so that it needs no test of bounds.

import { type Numbers, type View } from "./arrays";
import { type Settings } from "./elementwise";

// The columns x of an axis of length `width` for which 0 <= x * stride + shift < limit.
function inside(width: number, stride: number, shift: number, limit: number): [number, number] {
  const first = Math.max(0, Math.ceil(-shift / stride));
  const last = Math.min(width, Math.ceil((limit - shift) / stride));
  return [first, last];
}

function withBias(out: Numbers, plane: number, channels: number, bias: View | undefined): void {
  if (bias === undefined) return;
  for (let i = 0; i < out.length; i += plane) out.fill(bias.data[(i / plane) % channels], i, i + plane);
}

// out[n, o, y, x] = bias[o] + sum over c, i, j of weight[o, c, i, j] in[n, c, y * s - p + i * d, x * s - p + j * d].
export function convolution(
  out: Numbers,
  shape: readonly number[],
  [x, weight, bias]: readonly View[],
  { input, kernel, stride, padding, dilation, groups }: Settings,
): void {
  const [batch, outputs, height, width] = shape;
  const [, inputs, rows, columns] = input;
  const [, perGroup, kh, kw] = kernel;
  const plane = height * width;
  withBias(out, plane, outputs, bias);
  const [data, w] = [x.data, weight.data];
  const sx = stride[1];
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < outputs; o++) {
      const first = Math.floor((o * groups) / outputs) * perGroup;
      for (let c = 0; c < perGroup; c++) {
        const from = (n * inputs + first + c) * rows * columns;
        for (let i = 0; i < kh; i++) {
          const down = i * dilation[0] - padding[0];
          const [top, bottom] = inside(height, stride[0], down, rows);
          for (let j = 0; j < kw; j++) {
            const factor = w[((o * perGroup + c) * kh + i) * kw + j];
            const right = j * dilation[1] - padding[1];
            const [left, end] = inside(width, sx, right, columns);
            for (let y = top; y < bottom; y++) {
              let at = from + (y * stride[0] + down) * columns + left * sx + right;
              const to = (n * outputs + o) * plane + y * width;
              for (let column = left; column < end; column++, at += sx) out[to + column] += factor * data[at];
            }
          }
        }
      }
    }
  }
}

// The transpose: in[n, c, y, x] times weight[c, o, i, j] is added to out[n, o, y * s - p + i * d, x * s - p + j * d].
export function convolutionTransposed(
  out: Numbers,
  shape: readonly number[],
  [x, weight, bias]: readonly View[],
  { input, kernel, stride, padding, dilation, groups }: Settings,
): void {
  const [batch, outputs, height, width] = shape;
  const [, inputs, rows, columns] = input;
  const [, perGroup, kh, kw] = kernel;
  const plane = height * width;
  withBias(out, plane, outputs, bias);
  const [data, w] = [x.data, weight.data];
  const sx = stride[1];
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < inputs; c++) {
      const first = Math.floor((c * groups) / inputs) * perGroup;
      const from = (n * inputs + c) * rows * columns;
      for (let o = 0; o < perGroup; o++) {
        const to = (n * outputs + first + o) * plane;
        for (let i = 0; i < kh; i++) {
          const down = i * dilation[0] - padding[0];
          const [top, bottom] = inside(rows, stride[0], down, height);
          for (let j = 0; j < kw; j++) {
            const factor = w[((c * perGroup + o) * kh + i) * kw + j];
            const right = j * dilation[1] - padding[1];
            const [left, end] = inside(columns, sx, right, width);
            for (let y = top; y < bottom; y++) {
              let at = to + (y * stride[0] + down) * width + left * sx + right;
              const row = from + y * columns;
              for (let column = left; column < end; column++, at += sx) out[at] += factor * data[row + column];
            }
          }
        }
      }
    }
  }
}
