// What Python writes into the page: see vaelab/explorer/contents.py.

import { type Dtype } from "./arrays";
import { type Program } from "./program";

// An array in the packed bytes of the page.
export interface Packed {
  shape: number[];
  dtype: Dtype | "steps" | "float16" | "uint8";
  at: number; // first byte
  bits?: number; // of "steps": how many the lower byte of a number holds
}

export type FunctionName = "encode" | "decode" | "bound" | "prior";

export interface Model {
  name: string; // of the run's folder
  facts: [what: string, value: string][]; // data, likelihood, network, z, ...: what the header shows
  results: [what: string, value: string, meaning: string][]; // "-ELBO", "94.02 ± 0.25 nats", one sentence
  latent: number; // D
  image: [channels: number, height: number, width: number];
  support: "real" | "sphere" | "codes";
  levels: "binary" | "grey" | "256" | "8bit"; // what pixel values are: see vaelab/data/protocol.py
  binary: boolean; // whether they are 0 or 1, so that a draw is black and white
  offset: number; // nats to add to a distortion, so that it is that of the 256 levels
  classes: { label: number; name: string }[]; // of the labels; empty without labels
  conditional: boolean; // whether encode, decode and bound take `label`, a class
  groups: number[]; // dimensions of each group of z, from the top
  programs: Partial<Record<FunctionName, Program>>; // `prior` is missing where draws are stored
  // One number for each dimension of z
  kl: number[]; // nats, means over the codes' images; empty for codes
  mean: number[]; // of the aggregate posterior
  scale: number[]; // its standard deviation
  // Codes: means of q(z|x) of test images, [N, D]
  codes: Packed;
  codeLabels: Packed; // class of each; none without labels
  // Test images [n, C, H, W], levels 0 to 255; image i has code i
  examples: Packed;
  priorDraws: Packed; // z ~ p(z), [m, D]
  normalPrior?: { mean: number[]; scale: number[] }; // where p(z) = N(mean, diag(scale^2)); else from the draws
  draws: number; // of z, that the -ELBO of one image averages
  // -ELBO of validation images, nats, sorted: the p-value of a new image comes from them
  validation: Packed;
  validationOf: string; // why there are none; else empty
}

export interface Contents {
  version: string; // of vaelab
  models: Model[];
  arrays: Packed[]; // what the constants of the programs are
  bytes: number; // length of the packed bytes once they are inflated
  served: boolean; // whether Python runs the models: then their programs have no steps
}
