// Runs programs: see vaelab/explorer/program.py.

import { gathered, size, empty, type Dtype, type Numbers, type View } from "./arrays";
import { type Settings } from "./elementwise";
import { bytesOf, Heap } from "./heap";
import { OPERATIONS } from "./operations";

export type Operand = [value: number, strides: number[], offset: number];

export type Step = [name: string, out: number, dtype: Dtype, shape: number[], operands: Operand[], settings: Settings];

export interface Port {
  operand: Operand;
  shape: number[];
  dtype: Dtype;
  kind: "" | "uniform" | "normal"; // of noise
}

export interface Program {
  inputs: Record<string, Port>;
  noise: Port[];
  constants: [value: number, array: number][]; // the number of the array among those that all programs share
  steps: Step[];
  outputs: Record<string, Port>;
  values: number;
}

export type Arrays = Record<string, ArrayLike<number>>;

// An array that programs share, and a function that writes its numbers.
export interface Constant {
  dtype: Dtype;
  length: number;
  write(into: Numbers): void;
}

// Programs of one model, ready to run: all arrays are made once, in one memory.
export class Programs<Name extends string> {
  private runners = new Map<Name, Runner>();

  constructor(programs: Partial<Record<Name, Program>>, constants: readonly Constant[]) {
    const all = Object.entries(programs) as [Name, Program][];
    const used = [...new Set(all.flatMap(([, program]) => program.constants.map(([, array]) => array)))];
    const shared = used.map((array) => constants[array]);
    const own = all.flatMap(([, program]) => valuesOf(program));
    const bytes = [...shared.map(({ dtype, length }) => [dtype, length] as const), ...own.map(([, ...rest]) => rest)]
      .map(([dtype, length]) => bytesOf(dtype, length))
      .reduce((total, each) => total + each, 0);
    const heap = new Heap(bytes);
    const arrays = new Map<number, Numbers>();
    used.forEach((array, i) => {
      const made = heap.array(shared[i].dtype, shared[i].length);
      shared[i].write(made);
      arrays.set(array, made);
    });
    for (const [name, program] of all) this.runners.set(name, new Runner(program, arrays, heap));
  }

  get(name: Name): Runner {
    const found = this.runners.get(name);
    if (found === undefined) throw new Error(`the model has no program ${name}`);
    return found;
  }
}

// The values that a program makes or is given: number, type and length.
function valuesOf({ inputs, noise, steps }: Program): [value: number, dtype: Dtype, length: number][] {
  return [
    ...[...Object.values(inputs), ...noise].map((port): [number, Dtype, number] => {
      return [port.operand[0], port.dtype, size(port.shape)];
    }),
    ...steps.map(([, out, dtype, shape]): [number, Dtype, number] => [out, dtype, size(shape)]),
  ];
}

export class Runner {
  private values: Numbers[];
  private plans = new Map<string, Planned[]>();

  constructor(
    readonly program: Program,
    arrays: ReadonlyMap<number, Numbers>,
    private heap: Heap,
  ) {
    this.values = new Array(program.values);
    for (const [value, array] of program.constants) this.values[value] = arrays.get(array)!;
    for (const [value, dtype, length] of valuesOf(program)) this.values[value] = heap.array(dtype, length);
  }

  // Returns the outputs of the given names, for inputs by name and one array for each draw of noise.
  run(inputs: Arrays, noise: readonly ArrayLike<number>[], wanted: readonly string[]): Record<string, Numbers> {
    const { program, values } = this;
    for (const [name, port] of Object.entries(program.inputs)) values[port.operand[0]].set(inputs[name]);
    program.noise.forEach((port, i) => values[port.operand[0]].set(noise[i]));
    for (const { name, out, shape, views, settings } of this.plan(wanted)) {
      OPERATIONS[name](out, shape, views, settings, this.heap);
    }
    return Object.fromEntries(wanted.map((name) => [name, this.read(program.outputs[name])]));
  }

  private view = ([value, strides, offset]: Operand): View => ({ data: this.values[value], strides, offset });

  private read(port: Port): Numbers {
    return gathered(this.view(port.operand), port.shape, empty(port.dtype, size(port.shape)));
  }

  // The steps that the wanted outputs need.
  private plan(wanted: readonly string[]): Planned[] {
    const key = wanted.join();
    const known = this.plans.get(key);
    if (known !== undefined) return known;
    const needed = new Set(wanted.map((name) => this.program.outputs[name].operand[0]));
    const steps: Step[] = [];
    for (const step of [...this.program.steps].reverse()) {
      if (!needed.has(step[1])) continue;
      steps.unshift(step);
      for (const [value] of step[4]) needed.add(value);
    }
    const plan = steps.map(([name, out, , shape, operands, settings]) => {
      return { name, out: this.values[out], shape, views: operands.map(this.view), settings };
    });
    this.plans.set(key, plan);
    return plan;
  }
}

interface Planned {
  name: string;
  out: Numbers;
  shape: number[];
  views: View[];
  settings: Settings;
}
