import assert from "node:assert/strict";
import { test } from "node:test";
import { converted, isAnimated, scaled, type Rgba, type Wanted } from "../src/ui/picture";

const GREY: Wanted = { image: [1, 4, 4], binary: false, paper: "black", swapped: false };

function filled(width: number, height: number, colour: (x: number, y: number) => number[]): Rgba {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.set(colour(x, y), 4 * (y * width + x));
  return { width, height, data };
}

const near = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-5, `${a} is not ${b}`);

test("a picture of the right size is taken as it is", () => {
  const { pixels, steps } = converted(filled(4, 4, (x, y) => [16 * x + y, 16 * x + y, 16 * x + y, 255]), GREY);
  near(pixels[4 * 2 + 3], (16 * 3 + 2) / 255);
  assert.deepEqual(steps, []);
});

test("scaling takes means over areas, whatever the factor", () => {
  const board = scaled(Float32Array.from({ length: 3 * 64 }, (_, i) => (Math.floor(i / 3) + Math.floor(i / 24)) % 2), 8, 8, 4, 4);
  board.forEach((v) => near(v, 0.5));
  const flat = scaled(new Float32Array(3 * 7 * 5).fill(0.3), 7, 5, 4, 9);
  flat.forEach((v) => near(v, 0.3));
  const row = scaled(Float32Array.from([0, 0, 0, 1, 1, 1, 1, 1, 1]), 3, 1, 2, 1);
  near(row[0], 1 / 3);
  near(row[3], 1);
});

test("another shape is centred on the paper", () => {
  const wide = filled(8, 4, () => [255, 255, 255, 255]);
  const { pixels, steps } = converted(wide, GREY);
  assert.deepEqual([...pixels].map(Math.round), [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
  assert.deepEqual(steps, ["8 × 4 pixels scaled to 4 × 2", "centred on black in 4 × 4"]);
});

test("transparent parts have the colour of the paper", () => {
  const clear = filled(4, 4, (x) => [255, 0, 0, x < 2 ? 0 : 255]);
  const rgb = converted(clear, { ...GREY, image: [3, 4, 4], paper: "white" });
  assert.deepEqual([...rgb.pixels].slice(0, 4), [1, 1, 1, 1]);
  assert.deepEqual([...rgb.pixels].slice(16, 20), [1, 1, 0, 0]);
  assert.deepEqual(rgb.steps, ["transparent parts on white"]);
  const grey = converted(clear, GREY);
  assert.equal(grey.pixels[0], 0);
  near(grey.pixels[3], 0.299);
  assert.deepEqual(grey.steps, ["transparent parts on black", "colours to grey"]);
});

test("light and dark are swapped before pixels become 0 or 1", () => {
  const picture = filled(4, 4, (x) => [60 * x, 60 * x, 60 * x, 255]);
  const { pixels, steps } = converted(picture, { ...GREY, binary: true, swapped: true });
  assert.deepEqual([...pixels].slice(0, 4), [1, 1, 1, 0]);
  assert.deepEqual(steps, ["light and dark swapped", "each pixel to 0 or 1, at one half"]);
});

test("a very thin picture keeps one row", () => {
  const { pixels } = converted(filled(4000, 1, () => [255, 255, 255, 255]), GREY);
  assert.equal(pixels.filter((v) => v > 0.999).length, 4);
});

test("animations are told from their bytes", () => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const frame = "\x21\xf9\x04\x00\x00\x00\x00\x00";
  assert.ok(isAnimated(bytes(`GIF89a${frame}...${frame}`)));
  assert.ok(!isAnimated(bytes(`GIF89a${frame}...`)));
  assert.ok(isAnimated(bytes("\x89PNG....IHDR....acTL....IDAT")));
  assert.ok(!isAnimated(bytes("\x89PNG....IHDR....IDAT")));
  assert.ok(isAnimated(bytes("RIFF....WEBPVP8X....ANIM")));
  assert.ok(!isAnimated(bytes("RIFF....WEBPVP8 ....")));
  assert.ok(!isAnimated(bytes("")));
});
