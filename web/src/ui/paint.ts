// Images on canvases: one canvas pixel for each pixel of the image, enlarged by a whole factor.

import { type Numbers } from "../arrays";
import { type Loaded } from "./models";
import { el } from "./dom";

export type Shape = readonly [channels: number, height: number, width: number];

// A canvas for images of `shape`, as large as fits `box` CSS pixels.
export function imageCanvas(shape: Shape, box: number, alt: string, testid: string): HTMLCanvasElement {
  const canvas = el("canvas", { role: "img", "aria-label": alt, class: "pixels", "data-testid": testid });
  sizeFor(canvas, shape, box);
  return canvas;
}

export function sizeFor(canvas: HTMLCanvasElement, [, height, width]: Shape, box: number): void {
  const factor = Math.max(1, Math.floor(box / Math.max(width, height)));
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.style.width = `${width * factor}px`;
  canvas.style.height = `${height * factor}px`;
}

// Numbers [C, H, W], 0 black and 1 white, as an image of the canvas's own pixels.
export function rgba(numbers: ArrayLike<number>, [channels, height, width]: Shape, top = 1): ImageData {
  const image = new ImageData(width, height);
  const area = height * width;
  const factor = 255 / top;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = numbers[(channels === 1 ? 0 : Math.min(c, channels - 1)) * area + i] * factor;
    image.data[4 * i + 3] = 255;
  }
  return image;
}

export function paint(canvas: HTMLCanvasElement, numbers: ArrayLike<number>, shape: Shape, top = 1): void {
  canvas.getContext("2d")!.putImageData(rgba(numbers, shape, top), 0, 0);
}

// The level that is shown white: 1, or the largest number of a spread.
export function topOf(numbers: Numbers): number {
  let top = 1e-9;
  for (const v of numbers) top = Math.max(top, v);
  return top;
}

// A canvas of the same pixels, for drawing at other sizes.
export function stamp(model: Loaded, numbers: ArrayLike<number>): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [model.image[2], model.image[1]];
  paint(canvas, numbers, model.image);
  return canvas;
}
