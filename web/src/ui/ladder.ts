// The groups of a ladder's z: keeps those above a level, and draws the rest again, each given those above it.

import { normal } from "../noise";
import { size } from "../arrays";
import { type Asker, type Loaded } from "./models";
import { type Vector } from "./plane";

// Whether p(z) is drawn group by group: one normal draw for each group.
export function hasLevels({ groups, programs }: Loaded): boolean {
  const ports = programs.prior?.noise ?? [];
  return groups.length > 1 && ports.length === groups.length && ports.every((port, g) => size(port.shape) === groups[g]);
}

// `z` with groups `from`, `from` + 1, ... drawn again. A group is mean + scale * noise, both given the groups above: so
// the noise that gives the kept groups follows from two runs for each.
export async function redrawn(asker: Asker, model: Loaded, z: Vector, from: number, seed: number): Promise<Vector | null> {
  const noise = model.groups.map((width): Float32Array => new Float32Array(width));
  for (let g = 0, start = 0; g < from; start += model.groups[g++]) {
    const mean = await asker.prior(model, noise);
    noise[g].fill(1);
    const raised = await asker.prior(model, noise);
    if (!mean || !raised) return null;
    for (let i = 0; i < noise[g].length; i++) {
      const scale = raised[start + i] - mean[start + i];
      noise[g][i] = scale > 1e-12 ? (z[start + i] - mean[start + i]) / scale : 0;
    }
  }
  for (let g = from; g < noise.length; g++) noise[g] = normal([model.groups[g]], seed + 7919 * g);
  return asker.prior(model, noise);
}
