// Runs a program: see vaelab/explorer/program.py.

import { empty, gathered, size, type Dtype, type Numbers, type View } from "./arrays";
import { OPERATIONS } from "./operations";
import { type Settings } from "./elementwise";

export type Operand = [value: number, strides: number[], offset: number];

export type Step = [
  name: string,
  out: number,
  dtype: Dtype,
  shape: number[],
  operands: Operand[],
  settings: Settings,
];

export interface Port {
  operand: Operand;
  shape: number[];
  dtype: Dtype;
  kind: "" | "uniform" | "normal";
}

export interface Program {
  inputs: Record<string, Port>;
  noise: Port[];
  constants: [value: number, array: number][];
  steps: Step[];
  outputs: Record<string, Port>;
  values: number;
}

export type Arrays = Record<string, Numbers>;

// A program that is ready to run: its arrays are made once, and used again in each run.
export class Runner {
  private values: (Numbers | undefined)[];
  private plans = new Map<string, Step[]>();

  constructor(
    readonly program: Program,
    arrays: readonly Numbers[],
  ) {
    this.values = new Array(program.values);
    for (const [value, array] of program.constants) this.values[value] = arrays[array];
  }

  // Returns the outputs of the given names, for inputs by name and one array for each draw of noise.
  run(inputs: Arrays, noise: readonly Numbers[], wanted: readonly string[]): Arrays {
    const { program, values } = this;
    for (const [name, port] of Object.entries(program.inputs)) values[port.operand[0]] = inputs[name];
    program.noise.forEach((port, i) => (values[port.operand[0]] = noise[i]));
    for (const [name, out, dtype, shape, operands, settings] of this.plan(wanted)) {
      const made = (values[out] ??= empty(dtype, size(shape)));
      if (name.startsWith("convolution")) made.fill(0);
      OPERATIONS[name](made, shape, operands.map(this.view), settings);
    }
    return Object.fromEntries(wanted.map((name) => [name, this.read(program.outputs[name])]));
  }

  private view = ([value, strides, offset]: Operand): View => ({ data: this.values[value]!, strides, offset });

  private read(port: Port): Numbers {
    return gathered(this.view(port.operand), port.shape, empty(port.dtype, size(port.shape)));
  }

  // The steps that the wanted outputs need.
  private plan(wanted: readonly string[]): Step[] {
    const key = wanted.join();
    let plan = this.plans.get(key);
    if (plan === undefined) {
      const needed = new Set(wanted.map((name) => this.program.outputs[name].operand[0]));
      plan = [];
      for (const step of [...this.program.steps].reverse()) {
        if (!needed.has(step[1])) continue;
        plan.unshift(step);
        for (const [value] of step[4]) needed.add(value);
      }
      this.plans.set(key, plan);
    }
    return plan;
  }
}
