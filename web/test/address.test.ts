import assert from "node:assert/strict";
import { test } from "node:test";
import { read, written, type Kept } from "../src/ui/address";

const KEPT: Kept = {
  model: 1,
  z: Float32Array.of(0.5, -1.25, 3),
  view: "draw",
  axes: [2, 0],
  label: 7,
  a: Float32Array.of(1, 2, 3),
  b: null,
  path: "circle",
  backdrop: true,
};

test("an address brings back what it was made from", () => {
  const { b: _, ...rest } = KEPT;
  assert.deepEqual(read(written(KEPT), [2, 3]), rest);
});

test("what makes no sense in an address is left out", () => {
  for (const hash of ["", "#", "#model=7", "#model=-1", "#z=1", "#z=1,nan", "#z=1,1e99", "#axes=0,0", "#axes=5,1", "#axes=principal", "#view=<b>", "#label=x", "#path=", "#a&b==="]) {
    assert.deepEqual(read(hash, [2]), {}, hash);
  }
});
