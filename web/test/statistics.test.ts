import assert from "node:assert/strict";
import { test } from "node:test";
import { estimate, quantile, random, share, unusual } from "../src/ui/statistics";

test("p-values count the validation images with a score at least as high", () => {
  const validation = [1, 2, 3, 3, 5];
  assert.deepEqual(unusual(validation, 3), { p: 4 / 6, asHigh: 3, of: 5 });
  assert.deepEqual(unusual(validation, 9), { p: 1 / 6, asHigh: 0, of: 5 });
  assert.deepEqual(unusual(validation, 0), { p: 1, asHigh: 5, of: 5 });
});

test("p-values of images of the same kind are uniform", () => {
  const next = random(1);
  const validation = Array.from({ length: 999 }, next).sort((a, b) => a - b);
  const alarms = Array.from({ length: 20000 }, next).filter((score) => unusual(validation, score).p <= 0.05).length;
  assert.ok(Math.abs(alarms / 20000 - 0.05) < 0.02, String(alarms));
});

test("quantile and share are inverse", () => {
  const sorted = [-2, -1, 0, 4, 9];
  assert.equal(quantile(sorted, 0.5), 0);
  assert.equal(quantile(sorted, 0.625), 2);
  for (const q of [0.1, 0.3, 0.77, 0.99]) assert.ok(Math.abs(share(sorted, quantile(sorted, q)) - q) < 1e-12);
  assert.equal(share(sorted, -5), 0);
  assert.equal(share(sorted, 50), 1);
});

test("an estimate has its standard error", () => {
  const { mean, error } = estimate([1, 2, 3, 4]);
  assert.equal(mean, 2.5);
  assert.ok(Math.abs(error - Math.sqrt(5 / 3 / 4)) < 1e-12);
  assert.deepEqual(estimate([7]), { mean: 7, error: 0 });
});
