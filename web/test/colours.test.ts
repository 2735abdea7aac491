import assert from "node:assert/strict";
import { test } from "node:test";
import { classColour, DARK_PAPER, LIGHT_PAPER, ON_DARK, ON_LIGHT } from "../src/ui/colours";

type Three = readonly [number, number, number];

// Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB
const VISIONS: Record<string, readonly Three[]> = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

const times = (rows: readonly Three[], v: Three): Three => rows.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]) as unknown as Three;

function linear(hex: string): Three {
  const levels = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
  return levels.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)) as unknown as Three;
}

function oklab(rgb: Three): Three {
  const clipped = rgb.map((v) => Math.min(1, Math.max(0, v))) as unknown as Three;
  const lms = times([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]], clipped);
  const roots = lms.map(Math.cbrt) as unknown as Three;
  return times([[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099], [0.0259040371, 0.7827717662, -0.808675766]], roots);
}

const luminance = (hex: string): number => times([[0.2126, 0.7152, 0.0722]], linear(hex))[0];

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (high + 0.05) / (low + 0.05);
}

for (const [name, colours, paper] of [["light", ON_LIGHT, LIGHT_PAPER], ["dark", ON_DARK, DARK_PAPER]] as const) {
  for (const [vision, rows] of Object.entries(VISIONS)) {
    test(`ten colours on ${name} paper stay apart for ${vision}`, () => {
      const seen = colours.map((hex) => oklab(times(rows, linear(hex))));
      for (const [i, a] of seen.entries()) {
        for (const [j, b] of seen.entries()) {
          if (j > i) assert.ok(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) >= 0.12, `${colours[i]} and ${colours[j]}`);
        }
      }
    });
  }

  test(`each colour has a contrast of 3:1 with ${name} paper`, () => {
    assert.equal(colours.length, 10);
    for (const colour of colours) assert.ok(contrast(colour, paper) >= 3, colour);
  });
}

test("more than ten classes have a colour each", () => {
  const many = Array.from({ length: 47 }, (_, i) => classColour(i, 47, false));
  assert.equal(new Set(many).size, 47);
});
