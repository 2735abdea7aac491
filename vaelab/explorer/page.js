"use strict";
var vaelab = (() => {
  var __defProp = Object.defineProperty;
  var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
  var __getOwnPropNames = Object.getOwnPropertyNames;
  var __hasOwnProp = Object.prototype.hasOwnProperty;
  var __export = (target, all) => {
    for (var name in all)
      __defProp(target, name, { get: all[name], enumerable: true });
  };
  var __copyProps = (to, from, except, desc) => {
    if (from && typeof from === "object" || typeof from === "function") {
      for (let key2 of __getOwnPropNames(from))
        if (!__hasOwnProp.call(to, key2) && key2 !== except)
          __defProp(to, key2, { get: () => from[key2], enumerable: !(desc = __getOwnPropDesc(from, key2)) || desc.enumerable });
    }
    return to;
  };
  var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

  // src/page.ts
  var page_exports = {};
  __export(page_exports, {
    OPERATIONS: () => OPERATIONS,
    Programs: () => Programs,
    constants: () => constants,
    inflated: () => inflated
  });

  // src/arrays.ts
  var BYTES = { float32: 4, float64: 8, int32: 4, bool: 1 };
  function empty(dtype, length) {
    switch (dtype) {
      case "float32":
        return new Float32Array(length);
      case "float64":
        return new Float64Array(length);
      case "int32":
        return new Int32Array(length);
      case "bool":
        return new Uint8Array(length);
    }
  }
  function size(shape) {
    return shape.reduce((product, length) => product * length, 1);
  }
  function eachRow(shape, views, row2) {
    const last = shape.length - 1;
    const starts = views.map((view) => view.offset);
    if (last < 1) {
      row2(0, starts);
      return;
    }
    const index2 = new Array(last).fill(0);
    const width2 = shape[last];
    const rows = size(shape.slice(0, last));
    for (let count = 0, start2 = 0; count < rows; count++, start2 += width2) {
      row2(start2, starts);
      for (let axis = last - 1; axis >= 0; axis--) {
        index2[axis]++;
        for (let i = 0; i < views.length; i++) starts[i] += views[i].strides[axis];
        if (index2[axis] < shape[axis]) break;
        for (let i = 0; i < views.length; i++) starts[i] -= views[i].strides[axis] * shape[axis];
        index2[axis] = 0;
      }
    }
  }
  function gathered(view, shape, into) {
    const last = shape.length - 1;
    const width2 = last < 0 ? 1 : shape[last];
    const stride2 = last < 0 ? 0 : view.strides[last];
    eachRow(shape, [view], (start2, [from]) => {
      for (let i = 0; i < width2; i++) into[start2 + i] = view.data[from + i * stride2];
    });
    return into;
  }

  // src/packed.ts
  var BYTES2 = { float16: 2, float32: 4, float64: 8, int32: 4, bool: 1, uint8: 1 };
  async function inflated(base64) {
    const packed = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Response(stream).arrayBuffer();
  }
  function unpacked({ shape, dtype, at }, bytes2) {
    const length = size(shape);
    const width2 = BYTES2[dtype];
    const own = new Uint8Array(length * width2);
    for (let plane = 0, from = at; plane < width2; plane++) {
      for (let i = 0; i < length; i++, from++) own[i * width2 + plane] = bytes2[from];
    }
    switch (dtype) {
      case "float16":
        return Float32Array.from(new Uint16Array(own.buffer), (half) => halves()[half]);
      case "float32":
        return new Float32Array(own.buffer);
      case "float64":
        return new Float64Array(own.buffer);
      case "int32":
        return new Int32Array(own.buffer);
      default:
        return own;
    }
  }
  function constants(arrays, bytes2) {
    return arrays.map((packed) => {
      const dtype = packed.dtype === "float16" ? "float32" : packed.dtype === "uint8" ? "bool" : packed.dtype;
      return { dtype, length: size(packed.shape), write: (into) => into.set(unpacked(packed, bytes2)) };
    });
  }
  var table;
  function halves() {
    table ??= Float32Array.from({ length: 65536 }, (_, half) => {
      const [sign, exponent, fraction] = [half & 32768 ? -1 : 1, half >> 10 & 31, half & 1023];
      if (exponent === 0) return sign * fraction * 2 ** -24;
      if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
      return sign * (1024 + fraction) * 2 ** (exponent - 25);
    });
    return table;
  }

  // src/served.ts
  function serverOf(contents2) {
    const failure = document.getElementById("failure");
    return async (call) => {
      try {
        const outputs = contents2.models[call.model].programs[call.name].outputs;
        const answer2 = read(await asked(call), call.wanted, outputs);
        failure.hidden = true;
        return answer2;
      } catch (error) {
        failure.textContent = error.message;
        failure.hidden = false;
        throw error;
      }
    };
  }
  async function asked(call) {
    const body = JSON.stringify(call, (_, value) => value instanceof Float32Array ? Array.from(value) : value);
    const response = await fetch("call", { method: "POST", body }).catch(() => {
      throw new Error("The program that runs the models has stopped. Start it again with vaelab explore --serve.");
    });
    if (!response.ok) throw new Error(`The model gave no answer: ${await response.text()}`);
    return response.arrayBuffer();
  }
  function read(buffer, wanted, outputs) {
    const answer2 = {};
    let at = 0;
    for (const name of wanted) {
      const { dtype, shape } = outputs[name];
      const own = buffer.slice(at, at += size(shape) * BYTES[dtype]);
      answer2[name] = new { float32: Float32Array, float64: Float64Array, int32: Int32Array, bool: Uint8Array }[dtype](own);
    }
    if (at !== buffer.byteLength) throw new Error("The model gave an answer of another shape.");
    return answer2;
  }

  // src/noise.ts
  function words(seed) {
    let state = seed | 0;
    return () => {
      state = state + 2654435769 | 0;
      let z = state ^ state >>> 16;
      z = Math.imul(z, 569420461);
      z ^= z >>> 15;
      z = Math.imul(z, 1935289751);
      return (z ^ z >>> 15) >>> 0;
    };
  }
  function uniform(shape, seed) {
    const next = words(seed);
    return Float32Array.from({ length: size(shape) }, () => (next() >>> 8) * 2 ** -24);
  }
  function normal(shape, seed) {
    const next = words(seed);
    const share2 = () => (next() >>> 8) * 2 ** -24;
    return Float32Array.from({ length: size(shape) }, () => {
      return Math.sqrt(-2 * Math.log(1 - share2())) * Math.cos(2 * Math.PI * share2());
    });
  }

  // src/kernels.wat
  var kernels_default = "AGFzbQEAAAABEgJgBn9/f39/fwBgBX9/f39/AAIPAQNlbnYGbWVtb3J5AgABAwMCAAEHEwIIcHJvZHVjdHMAAARkb3RzAAEKogYCrgMDB38FewF9IAVBAnQhDAJAA0AgB0EQaiAFSg0BQQAhBiAAIAdBAnRqIQkgASELAkADQCAGIANODQEgCf0ABAAhDiAJ/QAEECEPIAn9AAQgIRAgCf0ABDAhESACIAdBAnRqIQpBACEIAkADQCAIIARODQEgC/0JAgAhDSAOIA0gCv0ABAD95gH95AEhDiAPIA0gCv0ABBD95gH95AEhDyAQIA0gCv0ABCD95gH95AEhECARIA0gCv0ABDD95gH95AEhESALQQRqIQsgCiAMaiEKIAhBAWohCAwACwsgCSAO/QsEACAJIA/9CwQQIAkgEP0LBCAgCSAR/QsEMCAJIAxqIQkgBkEBaiEGDAALCyAHQRBqIQcMAAsLAkADQCAHIAVODQFBACEGIAAgB0ECdGohCSABIQsCQANAIAYgA04NASAJKgIAIRIgAiAHQQJ0aiEKQQAhCAJAA0AgCCAETg0BIBIgCyoCACAKKgIAlJIhEiALQQRqIQsgCiAMaiEKIAhBAWohCAwACwsgCSASOAIAIAkgDGohCSAGQQFqIQYMAAsLIAdBAWohBwwACwsL7wIDBH8BfQR7IAIhBwJAA0AgBSAETg0B/QwAAAAAAAAAAAAAAAAAAAAAIQr9DAAAAAAAAAAAAAAAAAAAAAAhC/0MAAAAAAAAAAAAAAAAAAAAACEM/QwAAAAAAAAAAAAAAAAAAAAAIQ0gASEIQQAhBgJAA0AgBkEQaiADSg0BIAogCP0ABAAgB/0ABAD95gH95AEhCiALIAj9AAQQIAf9AAQQ/eYB/eQBIQsgDCAI/QAEICAH/QAEIP3mAf3kASEMIA0gCP0ABDAgB/0ABDD95gH95AEhDSAIQcAAaiEIIAdBwABqIQcgBkEQaiEGDAALCyAKIAv95AEgDCAN/eQB/eQBIQogCv0fACAK/R8BkiAK/R8CIAr9HwOSkiEJAkADQCAGIANODQEgCSAIKgIAIAcqAgCUkiEJIAhBBGohCCAHQQRqIQcgBkEBaiEGDAALCyAAIAAqAgAgCZI4AgAgAEEEaiEAIAVBAWohBQwACwsL";

  // src/heap.ts
  var PAGE = 65536;
  var ALIGNED = 16;
  var MODULE = new WebAssembly.Module(Uint8Array.from(atob(kernels_default), (letter) => letter.charCodeAt(0)));
  function bytesOf(dtype, length) {
    return Math.ceil(BYTES[dtype] * Math.max(1, length) / ALIGNED) * ALIGNED;
  }
  var Heap = class {
    kernels;
    memory;
    used = 0;
    constructor(bytes2) {
      this.memory = new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(bytes2 / PAGE)) });
      const instance = new WebAssembly.Instance(MODULE, { env: { memory: this.memory } });
      this.kernels = instance.exports;
    }
    array(dtype, length) {
      const at = this.used;
      this.used += bytesOf(dtype, length);
      const { buffer } = this.memory;
      switch (dtype) {
        case "float32":
          return new Float32Array(buffer, at, length);
        case "float64":
          return new Float64Array(buffer, at, length);
        case "int32":
          return new Int32Array(buffer, at, length);
        case "bool":
          return new Uint8Array(buffer, at, length);
      }
    }
  };

  // src/elementwise.ts
  var SQRT_HALF = Math.SQRT1_2;
  function erf(x) {
    const a = Math.abs(x);
    if (a > 6) return Math.sign(x);
    if (a < 2.5) {
      let term = a;
      let sum = a;
      for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
        term *= -a * a / n;
        sum += term / (2 * n + 1);
      }
      return Math.sign(x) * sum * (2 / Math.sqrt(Math.PI));
    }
    let fraction = 0;
    for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
    return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
  }
  function tanhGelu(x) {
    return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
  }
  function remainder(x, y) {
    const rest = x % y;
    return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
  }
  function round(x) {
    const low = Math.floor(x);
    const rest = x - low;
    return rest < 0.5 || rest === 0.5 && low % 2 === 0 ? low : low + 1;
  }
  var UNARY = {
    copy: (x) => x,
    abs: Math.abs,
    neg: (x) => -x,
    exp: Math.exp,
    expm1: Math.expm1,
    log: Math.log,
    log1p: Math.log1p,
    log2: Math.log2,
    sqrt: Math.sqrt,
    square: (x) => x * x,
    rsqrt: (x) => 1 / Math.sqrt(x),
    sin: Math.sin,
    cos: Math.cos,
    tan: Math.tan,
    asin: Math.asin,
    acos: Math.acos,
    atan: Math.atan,
    sinh: Math.sinh,
    cosh: Math.cosh,
    tanh: Math.tanh,
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    relu: (x) => x < 0 ? 0 : x,
    reciprocal: (x) => 1 / x,
    erf,
    floor: Math.floor,
    ceil: Math.ceil,
    round,
    sign: Math.sign,
    isnan: (x) => x !== x ? 1 : 0,
    isinf: (x) => Math.abs(x) === Infinity ? 1 : 0,
    logical_not: (x) => x === 0 ? 1 : 0,
    gelu: (x) => 0.5 * x * (1 + erf(x * SQRT_HALF)),
    gelu_tanh: tanhGelu
  };
  var WITH_SETTINGS = {
    clamp: ({ low, high }) => {
      const [least, most] = [low ?? -Infinity, high ?? Infinity];
      return (x) => x < least ? least : x > most ? most : x;
    },
    elu: ({ alpha, scale, input_scale }) => {
      return (x) => x > 0 ? scale * x : scale * alpha * Math.expm1(x * input_scale);
    },
    leaky_relu: ({ slope }) => (x) => x > 0 ? x : slope * x
  };
  var BINARY = {
    mul: (x, y) => x * y,
    div: (x, y) => x / y,
    pow: Math.pow,
    maximum: Math.max,
    minimum: Math.min,
    remainder,
    atan2: Math.atan2,
    eq: (x, y) => x === y ? 1 : 0,
    ne: (x, y) => x !== y ? 1 : 0,
    lt: (x, y) => x < y ? 1 : 0,
    le: (x, y) => x <= y ? 1 : 0,
    gt: (x, y) => x > y ? 1 : 0,
    ge: (x, y) => x >= y ? 1 : 0,
    logical_and: (x, y) => x !== 0 && y !== 0 ? 1 : 0,
    logical_or: (x, y) => x !== 0 || y !== 0 ? 1 : 0
  };
  var SCALED = {
    add: ({ alpha }) => alpha === 1 ? (x, y) => x + y : (x, y) => x + alpha * y,
    sub: ({ alpha }) => alpha === 1 ? (x, y) => x - y : (x, y) => x - alpha * y
  };
  function width(shape) {
    return shape.length === 0 ? 1 : shape[shape.length - 1];
  }
  function stride(view) {
    return view.strides.length === 0 ? 0 : view.strides[view.strides.length - 1];
  }
  function loop1(make2) {
    return (out, shape, views, settings) => {
      const f = make2(settings);
      const [x] = views;
      const [n, dx] = [width(shape), stride(x)];
      eachRow(shape, views, (start2, [from]) => {
        for (let i = 0; i < n; i++) out[start2 + i] = f(x.data[from + i * dx]);
      });
    };
  }
  function loop2(make2) {
    return (out, shape, views, settings) => {
      const f = make2(settings);
      const [x, y] = views;
      const [n, dx, dy] = [width(shape), stride(x), stride(y)];
      eachRow(shape, views, (start2, [a, b]) => {
        for (let i = 0; i < n; i++) out[start2 + i] = f(x.data[a + i * dx], y.data[b + i * dy]);
      });
    };
  }
  function where(out, shape, views) {
    const [condition, x, y] = views;
    const [n, dc, dx, dy] = [width(shape), stride(condition), stride(x), stride(y)];
    eachRow(shape, views, (start2, [at, a, b]) => {
      for (let i = 0; i < n; i++) {
        out[start2 + i] = condition.data[at + i * dc] !== 0 ? x.data[a + i * dx] : y.data[b + i * dy];
      }
    });
  }
  function each(table2, make2) {
    return Object.fromEntries(Object.entries(table2).map(([name, of]) => [name, make2(of)]));
  }
  var ELEMENTWISE = {
    ...each(UNARY, (f) => loop1(() => f)),
    ...each(WITH_SETTINGS, loop1),
    ...each(BINARY, (f) => loop2(() => f)),
    ...each(SCALED, loop2),
    where
  };

  // src/patches.ts
  function eachRun({ input, kernel, output, stride: stride2, padding, dilation }, visit) {
    const [n, channels, rows, columns2] = input;
    const [kh, kw] = kernel;
    const [height, width2] = output;
    const step = stride2[1];
    for (let plane = 0, row2 = 0; plane < n * channels; plane++) {
      for (let i = 0; i < kh; i++) {
        const down = i * dilation[0] - padding[0];
        for (let j = 0; j < kw; j++, row2++) {
          const right = j * dilation[1] - padding[1];
          const first = Math.max(0, Math.ceil(-right / step));
          const end = Math.min(width2, Math.ceil((columns2 - right) / step));
          if (end <= first) continue;
          for (let y = 0; y < height; y++) {
            const from = y * stride2[0] + down;
            if (from < 0 || from >= rows) continue;
            const pixel = (plane * rows + from) * columns2 + first * step + right;
            visit(row2, y * width2 + first, end - first, step, pixel);
          }
        }
      }
    }
  }
  function columns(out, shape, [x], settings) {
    const places = shape[shape.length - 1];
    const { data } = x;
    eachRun(settings, (row2, place2, count, step, from) => {
      const to = row2 * places + place2;
      for (let i = 0; i < count; i++) out[to + i] = data[from + i * step];
    });
  }
  function overlapped(out, _, [x], settings) {
    const { data } = x;
    const places = settings.output[0] * settings.output[1];
    out.fill(0);
    eachRun(settings, (row2, place2, count, step, to) => {
      const from = row2 * places + place2;
      for (let i = 0; i < count; i++) out[to + i * step] += data[from + i];
    });
  }

  // src/operations.ts
  function reduction(reduce) {
    return (out, shape, [x], { over }) => {
      const row2 = new Float64Array(size(over));
      const kept = shape.length;
      const inner = { data: x.data, strides: x.strides.slice(kept), offset: 0 };
      const outer = { data: x.data, strides: x.strides.slice(0, kept), offset: x.offset };
      eachRow([...shape, 1], [{ ...outer, strides: [...outer.strides, 0] }], (start2, [from]) => {
        inner.offset = from;
        out[start2] = reduce(gathered(inner, over, row2));
      });
    };
  }
  function best(better) {
    return (row2) => {
      let at = 0;
      for (let i = 1; i < row2.length; i++) if (better(row2[i], row2[at])) at = i;
      return at;
    };
  }
  function total(row2) {
    let sum = 0;
    for (let i = 0; i < row2.length; i++) sum += row2[i];
    return sum;
  }
  function folded(start2, f) {
    return (row2) => {
      let so_far = start2;
      for (let i = 0; i < row2.length; i++) so_far = f(so_far, row2[i]);
      return so_far;
    };
  }
  function rowwise(change) {
    return (out, shape, [x]) => {
      const last = shape.length - 1;
      const [n, dx] = [shape[last], x.strides[last]];
      const row2 = new Float64Array(n);
      eachRow(shape, [x], (start2, [from]) => {
        for (let i = 0; i < n; i++) row2[i] = x.data[from + i * dx];
        change(row2);
        out.set(row2, start2);
      });
    };
  }
  function largest(row2) {
    let found = -Infinity;
    for (let i = 0; i < row2.length; i++) if (row2[i] > found) found = row2[i];
    return found;
  }
  function softmax(row2) {
    const top = largest(row2);
    let sum = 0;
    for (let i = 0; i < row2.length; i++) sum += row2[i] = Math.exp(row2[i] - top);
    for (let i = 0; i < row2.length; i++) row2[i] /= sum;
  }
  function logSoftmax(row2) {
    const top = largest(row2);
    let sum = 0;
    for (let i = 0; i < row2.length; i++) sum += Math.exp(row2[i] - top);
    const constant = top + Math.log(sum);
    for (let i = 0; i < row2.length; i++) row2[i] -= constant;
  }
  function cumulative(f) {
    return (row2) => {
      for (let i = 1; i < row2.length; i++) row2[i] = f(row2[i - 1], row2[i]);
    };
  }
  function normalise(out, shape, [x], { over, eps }) {
    gathered(x, shape, out);
    const n = size(over);
    for (let start2 = 0; start2 < out.length; start2 += n) {
      let sum = 0;
      let squares = 0;
      for (let i = start2; i < start2 + n; i++) sum += out[i];
      const mean = sum / n;
      for (let i = start2; i < start2 + n; i++) squares += (out[i] - mean) ** 2;
      const factor = 1 / Math.sqrt(squares / n + eps);
      for (let i = start2; i < start2 + n; i++) out[i] = (out[i] - mean) * factor;
    }
  }
  function matmul(out, shape, views, { depth }, heap) {
    const [a, b, bias] = views;
    const [batches, rows, columns2] = shape;
    if (bias === void 0) out.fill(0);
    else gathered(bias, shape, out);
    const transposed = b.strides[1] === 1 && (columns2 === 1 || b.strides[2] !== 1);
    const fast = out instanceof Float32Array;
    for (let batch = 0; batch < batches; batch++) {
      const left = a.offset + batch * a.strides[0];
      const right = b.offset + batch * b.strides[0];
      const to = batch * rows * columns2;
      const places = fast ? [place(out, to), place(a.data, left), place(b.data, right)] : [];
      if (!fast) slowly(out, to, a, left, b, right, [rows, columns2, depth]);
      else if (!transposed) heap.kernels.products(places[0], places[1], places[2], rows, depth, columns2);
      else {
        for (let m = 0; m < rows; m++) {
          heap.kernels.dots(places[0] + 4 * m * columns2, places[1] + 4 * m * depth, places[2], depth, columns2);
        }
      }
    }
  }
  function place(data, index2) {
    return data.byteOffset + index2 * data.BYTES_PER_ELEMENT;
  }
  function slowly(out, to, a, left, b, right, sizes) {
    const [rows, columns2, depth] = sizes;
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < columns2; n++) {
        let sum = 0;
        for (let k = 0; k < depth; k++) {
          sum += a.data[left + m * a.strides[1] + k * a.strides[2]] * b.data[right + k * b.strides[1] + n * b.strides[2]];
        }
        out[to + m * columns2 + n] += sum;
      }
    }
  }
  function index(out, shape, views, settings) {
    const [x, ...indices] = views;
    const { strides, sizes } = settings;
    const last = shape.length - 1;
    const n = last < 0 ? 1 : shape[last];
    eachRow(shape, views, (start2, starts) => {
      for (let i = 0; i < n; i++) {
        let from = starts[0] + (last < 0 ? 0 : i * x.strides[last]);
        for (let j = 0; j < indices.length; j++) {
          const of = indices[j].data[starts[j + 1] + (last < 0 ? 0 : i * indices[j].strides[last])];
          from += (of < 0 ? of + sizes[j] : of) * strides[j];
        }
        out[start2 + i] = x.data[from];
      }
    });
  }
  function placed(out, shape, views, settings) {
    const { fill: fill2, places, sizes } = settings;
    if (fill2 !== 0) out.fill(fill2);
    const own = shape.map((_, axis) => size(shape.slice(axis + 1)));
    views.forEach((view, i) => {
      const offset = own.reduce((sum, stride2, axis) => sum + stride2 * places[i][axis], 0);
      const into = { data: out, strides: own, offset };
      const last = shape.length - 1;
      eachRow(sizes[i], [view, into], (_, [from, to]) => {
        for (let j = 0; j < sizes[i][last]; j++) out[to + j] = view.data[from + j * view.strides[last]];
      });
    });
  }
  function solve(out, shape, [a, b], { upper, unit: unit2 }) {
    const last = shape.length - 1;
    const [n, k] = [shape[last - 1], shape[last]];
    const [ai, aj] = [a.strides[last - 1], a.strides[last]];
    const [bi, bj] = [b.strides[last - 1], b.strides[last]];
    const outer = (view) => ({ ...view, strides: [...view.strides.slice(0, last - 1), 0] });
    eachRow([...shape.slice(0, last - 1), 1], [outer(a), outer(b)], (batch, [at, from]) => {
      for (let column2 = 0; column2 < k; column2++) {
        for (let step = 0; step < n; step++) {
          const i = upper ? n - 1 - step : step;
          let sum = b.data[from + i * bi + column2 * bj];
          for (let s = 0; s < step; s++) {
            const j = upper ? n - 1 - s : s;
            sum -= a.data[at + i * ai + j * aj] * out[batch * n * k + j * k + column2];
          }
          out[batch * n * k + i * k + column2] = unit2 ? sum : sum / a.data[at + i * ai + i * aj];
        }
      }
    });
  }
  var OPERATIONS = {
    ...ELEMENTWISE,
    sum: reduction(total),
    mean: reduction((row2) => total(row2) / row2.length),
    amax: reduction(folded(-Infinity, Math.max)),
    amin: reduction(folded(Infinity, Math.min)),
    prod: reduction(folded(1, (x, y) => x * y)),
    any: reduction(folded(0, (x, y) => x !== 0 || y !== 0 ? 1 : 0)),
    argmin: reduction(best((x, y) => x < y)),
    argmax: reduction(best((x, y) => x > y)),
    softmax: rowwise(softmax),
    log_softmax: rowwise(logSoftmax),
    cumsum: rowwise(cumulative((x, y) => x + y)),
    cumprod: rowwise(cumulative((x, y) => x * y)),
    normalise,
    matmul,
    columns,
    overlapped,
    index,
    place: placed,
    solve
  };

  // src/program.ts
  var Programs = class {
    runners = /* @__PURE__ */ new Map();
    constructor(programs2, constants2) {
      const all = Object.entries(programs2);
      const used = [...new Set(all.flatMap(([, program]) => program.constants.map(([, array]) => array)))];
      const shared = used.map((array) => constants2[array]);
      const own = all.flatMap(([, program]) => valuesOf(program));
      const bytes2 = [...shared.map(({ dtype, length }) => [dtype, length]), ...own.map(([, ...rest]) => rest)].map(([dtype, length]) => bytesOf(dtype, length)).reduce((total3, each2) => total3 + each2, 0);
      const heap = new Heap(bytes2);
      const arrays = /* @__PURE__ */ new Map();
      used.forEach((array, i) => {
        const made2 = heap.array(shared[i].dtype, shared[i].length);
        shared[i].write(made2);
        arrays.set(array, made2);
      });
      for (const [name, program] of all) this.runners.set(name, new Runner(program, arrays, heap));
    }
    get(name) {
      const found = this.runners.get(name);
      if (found === void 0) throw new Error(`the model has no program ${name}`);
      return found;
    }
  };
  function valuesOf({ inputs, noise, steps }) {
    return [
      ...[...Object.values(inputs), ...noise].map((port) => {
        return [port.operand[0], port.dtype, size(port.shape)];
      }),
      ...steps.map(([, out, dtype, shape]) => [out, dtype, size(shape)])
    ];
  }
  var Runner = class {
    constructor(program, arrays, heap) {
      this.program = program;
      this.heap = heap;
      this.values = new Array(program.values);
      for (const [value, array] of program.constants) this.values[value] = arrays.get(array);
      for (const [value, dtype, length] of valuesOf(program)) this.values[value] = heap.array(dtype, length);
    }
    values;
    plans = /* @__PURE__ */ new Map();
    // Returns the outputs of the given names, for inputs by name and one array for each draw of noise.
    run(inputs, noise, wanted) {
      const { program, values } = this;
      for (const [name, port] of Object.entries(program.inputs)) values[port.operand[0]].set(inputs[name]);
      program.noise.forEach((port, i) => values[port.operand[0]].set(noise[i]));
      for (const { name, out, shape, views, settings } of this.plan(wanted)) {
        OPERATIONS[name](out, shape, views, settings, this.heap);
      }
      return Object.fromEntries(wanted.map((name) => [name, this.read(program.outputs[name])]));
    }
    view = ([value, strides, offset]) => ({ data: this.values[value], strides, offset });
    read(port) {
      return gathered(this.view(port.operand), port.shape, empty(port.dtype, size(port.shape)));
    }
    // The steps that the wanted outputs need.
    plan(wanted) {
      const key2 = wanted.join();
      const known = this.plans.get(key2);
      if (known !== void 0) return known;
      const needed = new Set(wanted.map((name) => this.program.outputs[name].operand[0]));
      const steps = [];
      for (const step of [...this.program.steps].reverse()) {
        if (!needed.has(step[1])) continue;
        steps.unshift(step);
        for (const [value] of step[4]) needed.add(value);
      }
      const plan = steps.map(([name, out, , shape, operands, settings]) => {
        return { name, out: this.values[out], shape, views: operands.map(this.view), settings };
      });
      this.plans.set(key2, plan);
      return plan;
    }
  };

  // src/worker.ts
  var contents;
  var bytes;
  var models = [];
  function programs(model) {
    return models[model] ??= new Programs(contents.models[model].programs, constants(contents.arrays, bytes));
  }
  function answer({ model, name, inputs, noise, wanted, seed }) {
    const runner = programs(model).get(name);
    const ports = runner.program.noise;
    const given = noise === "zero" ? ports.map(({ kind, shape }) => new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(kind === "normal" ? 0 : 0.5)) : noise === "draw" ? ports.map(({ kind, shape }, i) => (kind === "normal" ? normal : uniform)(shape, (seed ?? 0) + i * 7919)) : noise;
    return runner.run(inputs, given, wanted);
  }
  function listen() {
    self.onmessage = ({ data }) => {
      if ("contents" in data) {
        contents = data.contents;
        bytes = new Uint8Array(data.bytes);
        return;
      }
      try {
        const found = answer(data.call);
        const buffers = Object.values(found).map((array) => array.buffer);
        self.postMessage({ number: data.number, answer: found }, { transfer: buffers });
      } catch (error) {
        self.postMessage({ number: data.number, error: String(error) });
      }
    };
  }

  // src/start.ts
  var inWorker = typeof document === "undefined";
  if (inWorker) listen();
  async function start() {
    const contents2 = JSON.parse(text("contents"));
    const buffer = await inflated(text("packed"));
    const bytes2 = new Uint8Array(buffer.slice(0));
    const array = (packed) => unpacked(packed, bytes2);
    if (contents2.served) return { contents: contents2, engine: engineOf(serverOf(contents2)), array };
    const own = document.getElementById("program").textContent;
    const worker = new Worker(URL.createObjectURL(new Blob([own], { type: "text/javascript" })));
    worker.postMessage({ contents: contents2, bytes: buffer }, [buffer]);
    return { contents: contents2, engine: engineOf(workerOf(worker)), array };
  }
  function text(id) {
    return document.getElementById(id).textContent;
  }
  function pixels(model, levels2) {
    switch (model.levels) {
      case "binary":
        return Float32Array.from(levels2, (level) => level >= 128 ? 1 : 0);
      case "8bit":
        return Float32Array.from(levels2, (level) => (level + 0.5) / 256);
      default:
        return Float32Array.from(levels2, (level) => level / 255);
    }
  }
  function workerOf(worker) {
    return (call) => new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => {
        if (data.error === void 0) resolve(data.answer);
        else reject(new Error(data.error));
      };
      worker.postMessage({ number: 0, call });
    });
  }
  function engineOf(run) {
    const queue = [];
    let running = false;
    function next() {
      const first = running ? void 0 : queue.shift();
      if (first === void 0) return;
      running = true;
      run(first.call).then(first.resolve, first.reject).finally(() => {
        running = false;
        next();
      });
    }
    return {
      ready: Promise.resolve(),
      call(call, slot) {
        return new Promise((resolve, reject) => {
          const waiting = { call, slot, resolve, reject };
          const place2 = slot === void 0 ? -1 : queue.findIndex((other) => other.slot === slot);
          if (place2 < 0) queue.push(waiting);
          else {
            queue[place2].resolve(null);
            queue[place2] = waiting;
          }
          next();
        });
      }
    };
  }

  // src/ui/address.ts
  function written(kept) {
    const parts = [["model", String(kept.model)], ["z", numbers(kept.z)]];
    if (kept.a) parts.push(["a", numbers(kept.a)]);
    if (kept.b) parts.push(["b", numbers(kept.b)]);
    parts.push(["view", kept.view], ["axes", kept.axes === "principal" ? "principal" : kept.axes.join(",")]);
    parts.push(["label", String(kept.label)], ["path", kept.path]);
    if (kept.backdrop) parts.push(["images", "1"]);
    return "#" + parts.map(([key2, value]) => `${key2}=${value}`).join("&");
  }
  function read2(hash, dimensions) {
    const found = new Map(
      hash.replace(/^#/, "").split("&").map((part) => {
        const at = part.indexOf("=");
        return [part.slice(0, at), part.slice(at + 1)];
      })
    );
    const kept = {};
    const model = whole(found.get("model"));
    if (model !== null && model < dimensions.length) kept.model = model;
    const size2 = dimensions[kept.model ?? 0];
    for (const key2 of ["z", "a", "b"]) {
      const vector = vectorOf(found.get(key2), size2);
      if (vector) kept[key2] = vector;
    }
    const view = found.get("view");
    if (view === "mean" || view === "draw" || view === "spread") kept.view = view;
    const axes2 = axesOf(found.get("axes"), size2);
    if (axes2) kept.axes = axes2;
    const label = Number(found.get("label"));
    if (found.has("label") && Number.isInteger(label)) kept.label = label;
    const path2 = found.get("path");
    if (path2 === "straight" || path2 === "circle") kept.path = path2;
    if (found.get("images") === "1") kept.backdrop = true;
    return kept;
  }
  function numbers(z) {
    return Array.from(z, (v) => String(Number(v.toFixed(3)))).join(",");
  }
  function vectorOf(text2, size2) {
    if (!text2) return null;
    const values = text2.split(",").map(Number);
    return values.length === size2 && values.every((v) => Number.isFinite(v) && Math.abs(v) < 1e6) ? Float32Array.from(values) : null;
  }
  function axesOf(text2, size2) {
    if (text2 === "principal") return size2 > 2 ? "principal" : null;
    const [a, b] = (text2 ?? "").split(",").map((part) => whole(part));
    return a !== null && b !== null && b !== void 0 && a !== b && a < size2 && b < size2 ? [a, b] : null;
  }
  function whole(text2) {
    return text2 !== void 0 && /^\d{1,6}$/.test(text2) ? Number(text2) : null;
  }

  // src/ui/statistics.ts
  function estimate(numbers2) {
    const n = numbers2.length;
    const mean = numbers2.reduce((sum, x) => sum + x, 0) / n;
    if (n < 2) return { mean, error: 0 };
    const squares = numbers2.reduce((sum, x) => sum + (x - mean) ** 2, 0);
    return { mean, error: Math.sqrt(squares / (n - 1) / n) };
  }
  function quantile(sorted, q) {
    const place2 = Math.min(1, Math.max(0, q)) * (sorted.length - 1);
    const low = Math.floor(place2);
    const high = Math.min(low + 1, sorted.length - 1);
    return sorted[low] + (place2 - low) * (sorted[high] - sorted[low]);
  }
  function share(sorted, x) {
    const last = sorted.length - 1;
    if (last < 1 || x <= sorted[0]) return 0;
    if (x >= sorted[last]) return 1;
    const low = countBelow(sorted, x) - 1;
    if (low < 0) return 0;
    const step = sorted[low + 1] - sorted[low];
    return (low + (step > 0 ? (x - sorted[low]) / step : 0)) / last;
  }
  function countBelow(sorted, x) {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (sorted[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  function unusual(validation, score) {
    const of = validation.length;
    const asHigh = of - countBelow(validation, score);
    return { p: (1 + asHigh) / (of + 1), asHigh, of };
  }
  function random(seed) {
    let state = seed >>> 0;
    return () => {
      state = state + 1831565813 >>> 0;
      let t = Math.imul(state ^ state >>> 15, 1 | state);
      t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
      return ((t ^ t >>> 14) >>> 0) / 4294967296;
    };
  }

  // src/ui/density.ts
  var CELLS = 120;
  var COVERED = 0.99;
  var MANY = 1e3;
  function bandwidth(points) {
    const n = points.length;
    if (n < 2) return 1;
    const spread = [0, 1].map((axis) => {
      const sorted = Float32Array.from(points, (p) => p[axis]).sort();
      return (quantile(sorted, 0.84) - quantile(sorted, 0.16)) / 2;
    });
    return (n < MANY ? 1 : 0.6) * Math.max(1e-9, Math.sqrt((spread[0] ** 2 + spread[1] ** 2) / 2)) * n ** (-1 / 6);
  }
  function densityOf(points, frame, width2 = bandwidth(points), cells = CELLS) {
    const counts = new Float32Array(cells * cells);
    const size2 = 2 * frame.half / cells;
    for (const point of points) {
      const cell = cellOf(frame, cells, point);
      if (cell >= 0) counts[cell]++;
    }
    const kernel = gaussian(Math.max(0.5, width2 / size2));
    const values = blurred(blurred(counts, cells, kernel, 1), cells, kernel, cells);
    const top = values.reduce((best2, v) => Math.max(best2, v), 0) || 1;
    const density = { frame, cells, values: values.map((v) => v / top), top, low: 0 };
    const own = Float32Array.from(points.filter((p) => cellOf(frame, cells, p) >= 0), (p) => densityAt(density, p)).sort();
    return { ...density, low: own.length > 0 ? quantile(own, 1 - COVERED) : 0 };
  }
  function cellOf({ x, y, half }, cells, [px, py]) {
    const column2 = Math.floor((px - x + half) / (2 * half) * cells);
    const row2 = Math.floor((py - y + half) / (2 * half) * cells);
    return column2 < 0 || row2 < 0 || column2 >= cells || row2 >= cells ? -1 : row2 * cells + column2;
  }
  function densityAt({ frame, cells, values }, point) {
    const cell = cellOf(frame, cells, point);
    return cell < 0 ? 0 : values[cell];
  }
  function isEmpty(density, point) {
    return densityAt(density, point) < density.low;
  }
  function peak({ frame, cells, values, top }, all) {
    const score = values.map((v, i) => v > 0 ? (v * top) ** 2 / (all.values[i] * all.top) : 0);
    let best2 = 0;
    score.forEach((v, i) => best2 = v > score[best2] ? i : best2);
    const size2 = 2 * frame.half / cells;
    return [frame.x - frame.half + (best2 % cells + 0.5) * size2, frame.y - frame.half + (Math.floor(best2 / cells) + 0.5) * size2];
  }
  function gaussian(sigma) {
    const reach = Math.ceil(4 * sigma);
    const weights = Float32Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-0.5 * ((i - reach) / sigma) ** 2));
    const sum = weights.reduce((total3, w) => total3 + w, 0);
    return weights.map((w) => w / sum);
  }
  function blurred(from, cells, kernel, step) {
    const reach = (kernel.length - 1) / 2;
    const across = step === 1 ? cells : 1;
    const made2 = new Float32Array(from.length);
    for (let line = 0; line < cells; line++) {
      for (let i = 0; i < cells; i++) {
        const value = from[line * across + i * step];
        if (value === 0) continue;
        for (let k = Math.max(-reach, -i); k <= Math.min(reach, cells - 1 - i); k++) {
          made2[line * across + (i + k) * step] += value * kernel[k + reach];
        }
      }
    }
    return made2;
  }
  function frameOf(points, corners2) {
    const bounds = [0, 1].map((axis) => {
      const sorted = Float32Array.from(points, (p) => p[axis]).sort();
      const ends = sorted.length > 0 ? [quantile(sorted, 5e-3), quantile(sorted, 0.995)] : [-1, 1];
      const all = [...ends, ...corners2.map((p) => p[axis])];
      return [Math.min(...all), Math.max(...all)];
    });
    const half = 0.54 * Math.max(bounds[0][1] - bounds[0][0], bounds[1][1] - bounds[1][0], 1e-6);
    return { x: (bounds[0][0] + bounds[0][1]) / 2, y: (bounds[1][0] + bounds[1][1]) / 2, half };
  }

  // src/ui/plane.ts
  function dot(a, b) {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  }
  function norm(a) {
    return Math.sqrt(dot(a, a));
  }
  function project(plane, z) {
    let x = 0;
    let y = 0;
    for (let i = 0; i < z.length; i++) {
      const from = z[i] - plane.centre[i];
      x += from * plane.across[i];
      y += from * plane.up[i];
    }
    return [x, y];
  }
  function moved(plane, z, [x, y]) {
    const { centre, across, up, radius } = plane;
    const [oldX, oldY] = project(plane, z);
    if (radius === 0) return Float32Array.from(z, (v, i) => v + (x - oldX) * across[i] + (y - oldY) * up[i]);
    const outside = Math.hypot(x, y) / radius;
    if (outside > 1) [x, y] = [x / outside, y / outside];
    const rest = Float32Array.from(z, (v, i) => v - centre[i] - oldX * across[i] - oldY * up[i]);
    let length = norm(rest);
    const wanted = Math.sqrt(Math.max(0, radius * radius - x * x - y * y));
    if (length < 1e-6 * radius && wanted > 0) length = anyOther(plane, rest);
    const factor = length > 0 ? wanted / length : 0;
    const made2 = rest.map((v, i) => v * factor + x * across[i] + y * up[i]);
    const scale = radius / (norm(made2) || 1);
    return made2.map((v) => v * scale);
  }
  function anyOther({ across, up }, rest) {
    for (let axis = 0; axis < rest.length; axis++) {
      rest.forEach((_, i) => rest[i] = (i === axis ? 1 : 0) - across[axis] * across[i] - up[axis] * up[i]);
      if (norm(rest) > 0.1) return norm(rest);
    }
    return 0;
  }
  function axisPlane(dimensions, first, second, radius) {
    const unit2 = (axis) => Float32Array.from({ length: dimensions }, (_, i) => i === axis ? 1 : 0);
    return {
      centre: new Float32Array(dimensions),
      across: unit2(first),
      up: dimensions > 1 ? unit2(second) : new Float32Array(1),
      names: [dimensionName(first), dimensions > 1 ? dimensionName(second) : ""],
      radius
    };
  }
  function dimensionName(index2) {
    return "z" + [...String(index2 + 1)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[Number(digit)]).join("");
  }

  // src/ui/ellipse.ts
  function fromCovariance([x, y], xx, xy, yy) {
    const half = (xx + yy) / 2;
    const root = Math.hypot((xx - yy) / 2, xy);
    return {
      x,
      y,
      major: Math.sqrt(Math.max(0, half + root)),
      minor: Math.sqrt(Math.max(0, half - root)),
      angle: root < 1e-12 * half ? 0 : Math.atan2(2 * xy, xx - yy) / 2
    };
  }
  function ofPoints(points) {
    const n = Math.max(1, points.length);
    const x = points.reduce((sum, p) => sum + p[0], 0) / n;
    const y = points.reduce((sum, p) => sum + p[1], 0) / n;
    let [xx, xy, yy] = [0, 0, 0];
    for (const p of points) {
      xx += (p[0] - x) ** 2 / n;
      xy += (p[0] - x) * (p[1] - y) / n;
      yy += (p[1] - y) ** 2 / n;
    }
    return fromCovariance([x, y], xx, xy, yy);
  }
  function ofNormal(plane, mean, scale) {
    let [xx, xy, yy] = [0, 0, 0];
    for (let i = 0; i < mean.length; i++) {
      const variance = scale[i] * scale[i];
      xx += plane.across[i] * plane.across[i] * variance;
      xy += plane.across[i] * plane.up[i] * variance;
      yy += plane.up[i] * plane.up[i] * variance;
    }
    return fromCovariance(project(plane, mean), xx, xy, yy);
  }
  function deviations(ellipse, [x, y]) {
    const [dx, dy] = [x - ellipse.x, y - ellipse.y];
    const [cos, sin] = [Math.cos(ellipse.angle), Math.sin(ellipse.angle)];
    const tiny = 1e-9;
    return Math.hypot((dx * cos + dy * sin) / Math.max(ellipse.major, tiny), (dy * cos - dx * sin) / Math.max(ellipse.minor, tiny));
  }

  // src/ui/models.ts
  function loaded(contents2, array) {
    return contents2.models.map((model, index2) => {
      const drawRows = array(model.priorDraws);
      const drawCount = model.priorDraws.shape[0];
      const priorMean2 = new Float32Array(model.latent);
      for (let i = 0; i < drawRows.length; i++) priorMean2[i % model.latent] += drawRows[i] / drawCount;
      const rows = Array.from({ length: drawCount }, (_, i) => norm(row(drawRows, model.latent, i)));
      return {
        ...model,
        index: index2,
        count: model.codes.shape[0],
        codeRows: array(model.codes),
        exampleCount: model.examples.shape[0],
        exampleRows: array(model.examples),
        drawCount,
        drawRows,
        priorMean: model.support !== "real" ? new Float32Array(model.latent) : Float32Array.from(model.normalPrior?.mean ?? priorMean2),
        radius: model.support === "sphere" ? rows.reduce((sum, r) => sum + r / drawCount, 0) : 0
      };
    });
  }
  function row(rows, width2, index2) {
    return Float32Array.from(rows.subarray(index2 * width2, (index2 + 1) * width2));
  }
  function codeOf(model, index2) {
    const z = row(model.codeRows, model.latent, index2);
    if (model.radius === 0) return z;
    const scale = model.radius / (norm(z) || 1);
    return z.map((v) => v * scale);
  }
  function exampleOf(model, index2) {
    const size2 = model.image[0] * model.image[1] * model.image[2];
    return pixels(model, row(model.exampleRows, size2, index2));
  }
  function isDark({ exampleRows }) {
    let sum = 0;
    for (const level of exampleRows) sum += level;
    return sum / Math.max(1, exampleRows.length) < 128;
  }
  function classOf(model, index2) {
    return model.classes[model.codeLabels[index2]] ?? null;
  }
  function canRun(model, name) {
    return model.programs[name] !== void 0;
  }
  function hasOutput(model, name, output) {
    return model.programs[name]?.outputs[output] !== void 0;
  }
  function total2(numbers2) {
    let sum = 0;
    for (const v of numbers2) sum += v;
    return sum;
  }
  var Asker = class {
    constructor(engine) {
      this.engine = engine;
    }
    // The image of z: null if a newer question in the same slot has replaced this one.
    async decode(model, z, label, view = "mean", slot, seed = 1) {
      const shown = hasOutput(model, "decode", view) ? view : "mean";
      const call = this.call(model, "decode", { z }, label, [shown]);
      const answer2 = await this.engine.call(shown === "draw" ? { ...call, noise: "draw", seed } : call, slot);
      return answer2 && answer2[shown];
    }
    async encode(model, image, label, slot) {
      const [mean, scale, codes] = ["mean", "scale", "codes"].map((name) => hasOutput(model, "encode", name));
      const wanted = [mean ? "mean" : "z", ...scale ? ["scale"] : [], ...codes ? ["codes"] : []];
      const answer2 = await this.engine.call(this.call(model, "encode", { image }, label, wanted), slot);
      return answer2 && {
        mean: Float32Array.from(answer2[wanted[0]]),
        scale: scale ? Float32Array.from(answer2["scale"]) : null,
        codes: codes ? answer2["codes"] : null
      };
    }
    // The bound of one image in nats: with the mean of the noise, or with noise of a seed.
    async bound(model, image, label, slot, seed) {
      const codes = hasOutput(model, "bound", "codes");
      const wanted = ["rate", "distortion", "mean", "z", ...codes ? ["codes"] : []];
      const call = this.call(model, "bound", { image }, label, wanted);
      const answer2 = await this.engine.call(seed === void 0 ? call : { ...call, noise: "draw", seed }, slot);
      if (!answer2) return null;
      const [rate, distortion] = [total2(answer2["rate"]), total2(answer2["distortion"]) + model.offset];
      const z = Float32Array.from(answer2["z"]);
      return { rate, distortion, loss: rate + distortion, mean: answer2["mean"], z, codes: codes ? answer2["codes"] : null };
    }
    // A draw from the prior, from a seed or from given noise.
    async prior(model, from) {
      const call = this.call(model, "prior", {}, 0, ["z"]);
      const answer2 = await this.engine.call(typeof from === "number" ? { ...call, noise: "draw", seed: from } : { ...call, noise: from });
      return answer2 && Float32Array.from(answer2["z"]);
    }
    call(model, name, inputs, label, wanted) {
      const labelled = model.programs[name]?.inputs["label"] !== void 0;
      return { model: model.index, name, inputs: labelled ? { ...inputs, label: [label] } : inputs, noise: "zero", wanted };
    }
  };

  // src/ui/principal.ts
  var ITERATIONS = 60;
  var NUMBERS = 1e6;
  function principalPlane(codes, dimensions, radius) {
    const count = codes.length / dimensions;
    const step = Math.max(1, Math.ceil(count * dimensions / NUMBERS));
    const centre = new Float32Array(dimensions);
    if (radius === 0) {
      for (let i = 0; i < count; i++) for (let j = 0; j < dimensions; j++) centre[j] += codes[i * dimensions + j] / count;
    }
    const rows = [];
    for (let i = 0; i < count; i += step) {
      rows.push(Float32Array.from({ length: dimensions }, (_, j) => codes[i * dimensions + j] - centre[j]));
    }
    const across = component(rows, dimensions, null);
    const up = component(rows, dimensions, across);
    return { centre, across, up, names: ["first principal component", "second principal component"], radius };
  }
  function component(rows, dimensions, against) {
    let direction = Float32Array.from({ length: dimensions }, (_, i) => 1 + 0.3 * Math.sin(1 + 7 * i));
    direction = unit(without(direction, against), against);
    for (let i = 0; i < ITERATIONS; i++) {
      const next = new Float32Array(dimensions);
      for (const row2 of rows) {
        const along = dot(row2, direction);
        for (let j = 0; j < dimensions; j++) next[j] += along * row2[j];
      }
      const cleared = without(next, against);
      if (norm(cleared) < 1e-12) break;
      direction = unit(cleared, against);
    }
    const largest2 = direction.reduce((best2, v) => Math.abs(v) > Math.abs(best2) ? v : best2, 0);
    return largest2 < 0 ? direction.map((v) => -v) : direction;
  }
  function without(v, against) {
    if (against === null) return v;
    const along = dot(v, against);
    return v.map((x, i) => x - along * against[i]);
  }
  function unit(v, against) {
    const length = norm(v);
    if (length > 1e-12) return v.map((x) => x / length);
    for (let axis = 0; axis < v.length; axis++) {
      const other = without(v.map((_, i) => i === axis ? 1 : 0), against);
      if (norm(other) > 0.1) return other.map((x) => x / norm(other));
    }
    return v.map(() => 0);
  }

  // src/ui/atlas.ts
  var REACH = 3;
  var NAMING_CELLS = 60;
  var NAMED = 40;
  var made = /* @__PURE__ */ new Map();
  function atlasOf(model, axes2) {
    const key2 = `${model.index} ${String(axes2)}`;
    let atlas = made.get(key2);
    if (!atlas) made.set(key2, atlas = make(model, axes2));
    return atlas;
  }
  function make(model, axes2) {
    const plane = planeOf(model, axes2);
    const normal2 = model.normalPrior;
    const points = Array.from({ length: model.count }, (_, i) => project(plane, codeOf(model, i)));
    const draws = Array.from({ length: model.drawCount }, (_, i) => project(plane, row(model.drawRows, model.latent, i)));
    const prior = model.support === "codes" ? null : normal2 ? ofNormal(plane, normal2.mean, normal2.scale) : ofPoints(draws);
    const { radius } = model;
    const frame = frameOf(points, radius > 0 ? [[-radius, -radius], [radius, radius]] : prior ? corners(prior) : []);
    const names2 = [];
    if (model.codeLabels.length > 0 && model.classes.length <= NAMED) {
      const width2 = bandwidth(points);
      const all = densityOf(points, frame, width2, NAMING_CELLS);
      model.classes.forEach(({ name }, index2) => {
        const own = points.filter((_, i) => model.codeLabels[i] === index2);
        if (own.length > 0) names2.push({ text: name, at: peak(densityOf(own, frame, width2, NAMING_CELLS), all), index: index2 });
      });
    }
    return { plane, frame, points, density: densityOf(points, frame), prior, names: names2 };
  }
  function planeOf(model, axes2) {
    if (axes2 === "principal") return principalPlane(model.codeRows, model.latent, model.radius);
    return axisPlane(model.latent, axes2[0], axes2[1], model.radius);
  }
  function firstAxes(model) {
    return model.latent > 2 ? "principal" : [0, Math.min(1, model.latent - 1)];
  }
  function corners({ x, y, major, minor, angle }) {
    const [a, b] = [REACH * major, REACH * minor];
    const wide = Math.hypot(a * Math.cos(angle), b * Math.sin(angle));
    const high = Math.hypot(a * Math.sin(angle), b * Math.cos(angle));
    return [[x - wide, y - high], [x + wide, y + high]];
  }
  function placeOf(atlas, at) {
    if (!isEmpty(atlas.density, at)) return "data";
    const { prior, plane } = atlas;
    const inside = prior !== null && deviations(prior, at) <= REACH && onSphere(plane, at);
    return inside ? "hole" : "outside";
  }
  function onSphere({ radius, centre }, at) {
    if (radius === 0) return true;
    const from = Math.hypot(...at) / radius;
    return from <= 1.001 && (centre.length > 2 || from >= 0.95);
  }
  function nearest(atlas, [x, y], count, reach = Infinity) {
    let best2 = -1;
    let least = reach * reach;
    for (let i = 0; i < Math.min(count, atlas.points.length); i++) {
      const [px, py] = atlas.points[i];
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best2, least] = [i, distance];
    }
    return best2;
  }

  // src/ui/dom.ts
  function byId(id) {
    const found = document.getElementById(id);
    if (!found) throw new Error(`the page has no element "${id}"`);
    return found;
  }
  function el(tag, attributes = {}, children = []) {
    const made2 = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made2.setAttribute(name, value);
    made2.append(...children);
    return made2;
  }
  function button(text2, then, attributes = {}) {
    const made2 = el("button", { type: "button", ...attributes }, [text2]);
    made2.addEventListener("click", then);
    return made2;
  }
  function choices(name, legend2, options, chosen, then) {
    const field = el("fieldset", { class: "switch", "data-testid": name }, [el("legend", {}, [legend2])]);
    for (const [value, text2] of options) {
      const input = el("input", { type: "radio", name, value });
      input.checked = value === chosen;
      input.addEventListener("change", () => then(value));
      field.append(el("label", {}, [input, el("span", {}, [text2])]));
    }
    return field;
  }
  function checkbox(text2, checked, then, testid) {
    const input = el("input", { type: "checkbox", "data-testid": testid });
    input.checked = checked;
    input.addEventListener("change", () => then(input.checked));
    return el("label", { class: "check" }, [input, text2]);
  }
  function select(text2, options, chosen, then, testid) {
    const field = el("select", { "data-testid": testid });
    for (const [value, shown] of options) field.append(el("option", { value }, [shown]));
    field.value = chosen;
    field.addEventListener("change", () => then(field.value));
    return el("label", { class: "pick" }, [el("span", {}, [text2]), field]);
  }
  function fixed(value, digits = 2) {
    const text2 = value.toFixed(digits);
    return Number(text2) === 0 ? text2.replace("-", "") : text2.replace("-", "−");
  }
  function nats(value) {
    return `${fixed(value, Math.abs(value) >= 1e4 ? 0 : Math.abs(value) >= 10 ? 1 : 2)} nats`;
  }
  function shortened(text2, length) {
    return text2.length > length ? text2.slice(0, length - 1) + "…" : text2;
  }

  // src/ui/app.ts
  function current({ models: models2, store }) {
    return models2[store.state.model];
  }
  function currentAtlas(app) {
    return atlasOf(current(app), app.store.state.axes);
  }
  function shownZ({ store }) {
    return store.state.hover ?? store.state.z;
  }
  function shownPoint(app) {
    return project(currentAtlas(app).plane, shownZ(app));
  }
  var TOUCHED = 1 / 60;
  function shownExample(app) {
    const model = current(app);
    const { example } = app.store.state;
    if (example !== null) return example;
    const atlas = currentAtlas(app);
    const touched = nearest(atlas, shownPoint(app), model.exampleCount, 2 * atlas.frame.half * TOUCHED);
    return touched >= 0 ? touched : nearestInSpace(model, shownZ(app));
  }
  function nearestInSpace(model, z) {
    let [best2, least] = [-1, Infinity];
    for (let i = 0; i < model.exampleCount; i++) {
      const distance = codeOf(model, i).reduce((sum, v, d) => sum + (v - z[d]) ** 2, 0);
      if (distance < least) [best2, least] = [i, distance];
    }
    return best2;
  }
  function labelFor(model, label) {
    return model.classes.some((each2) => each2.label === label) ? label : model.classes[0]?.label ?? 0;
  }

  // src/ui/colours.ts
  var ON_LIGHT = [
    "#2851ff",
    "#eb5499",
    "#b09013",
    "#570337",
    "#009de3",
    "#880a05",
    "#774380",
    "#ac523d",
    "#0109ca",
    "#2e067c"
  ];
  var ON_DARK = [
    "#8786ee",
    "#e8f518",
    "#f0569d",
    "#2c7515",
    "#8cfdf6",
    "#b99120",
    "#9511f3",
    "#f4ad91",
    "#bb169a",
    "#b2b6fe"
  ];
  function classColour(index2, count, dark) {
    const few = dark ? ON_DARK : ON_LIGHT;
    if (count <= few.length) return few[index2];
    const lightness = (dark ? 68 : 38) + 8 * (index2 % 3);
    return `hsl(${Math.round(360 * index2 / count)} 65% ${lightness}%)`;
  }

  // src/ui/sliders.ts
  var INACTIVE_NATS = 0.01;
  var UNORDERED = 16;
  var RANGE = 4;
  function mountSliders(app) {
    const { store } = app;
    let sliders = [];
    let sorted = [];
    const build = () => {
      const model = current(app);
      byId("dimensions").hidden = model.support === "codes";
      if (model.support === "codes") return;
      sorted = Array.from({ length: model.latent }, (_, d) => column(model, d).sort());
      const known = model.kl.length > 0;
      const order = dimensionsByKl(model);
      const active = known ? order.filter((d) => model.kl[d] >= INACTIVE_NATS).length : UNORDERED;
      const [shown, folded2] = [order.slice(0, active), order.slice(active)];
      sliders = [];
      const rows = (list) => {
        const made2 = list.map((d) => slider(app, model, sorted, d));
        sliders.push(...made2.map((each2) => each2.slider));
        return el("div", { class: "sliders" }, made2.map((each2) => each2.row));
      };
      const what = `${folded2.length} ${known ? "inactive" : "more"} ${folded2.length === 1 ? "dimension" : "dimensions"}`;
      const summary = el("summary", {}, [known ? `${what} (KL below ${INACTIVE_NATS} nats)` : what]);
      const details = el("details", { "data-testid": "inactive" }, [summary, rows(folded2)]);
      byId("slider-rows").replaceChildren(rows(shown), ...folded2.length > 0 ? [details] : []);
      const total3 = model.kl.reduce((sum, v) => sum + v, 0);
      byId("slider-note").textContent = !known ? "The KL of this model has no part for each dimension, so they stand in their own order." : `${active} of ${model.latent} dimensions are active; together they carry ${fixed(total3, 1)} nats (mean over test images).`;
      byId("slider-tools").replaceChildren(
        choices("units", "Units", [["sd", "standard deviations"], ["quantile", "quantiles"]], store.state.units, (units) => store.set({ units })),
        button("all to the mean", () => store.set({ z: priorMean(model), hover: null, example: null }), { class: "quiet", "data-testid": "reset" })
      );
      show();
    };
    const show = () => {
      const model = current(app);
      for (const { dimension, input, output } of sliders) {
        const value = store.state.z[dimension];
        const { units } = store.state;
        const place2 = placeOf2(model, sorted, dimension, value, units);
        setRange(input, units);
        input.value = String(place2);
        const inUnits = units === "sd" ? `${fixed(place2)} sd` : `${fixed(100 * place2, 1)} %`;
        output.textContent = `${inUnits} · z = ${fixed(value)}`;
        input.setAttribute("aria-valuetext", `${inUnits}, z = ${fixed(value)}`);
      }
    };
    store.on(["model"], build);
    store.on(["z", "units"], show);
    build();
  }
  function slider(app, model, sorted, dimension) {
    const id = `z-${dimension}`;
    const input = el("input", { type: "range", id, "data-testid": `slider-${dimension}` });
    const output = el("output", { for: id });
    input.addEventListener("input", () => {
      const { z, units } = app.store.state;
      let next = Float32Array.from(z);
      next[dimension] = valueOf(model, sorted, dimension, Number(input.value), units);
      if (model.radius > 0) {
        const scale = model.radius / (norm(next) || 1);
        next = next.map((v) => v * scale);
      }
      app.store.set({ z: next, hover: null, example: null });
    });
    const name = el("label", { for: id }, [el("b", {}, [dimensionName(dimension)]), model.kl.length > 0 ? ` ${fixed(model.kl[dimension])} nats` : ""]);
    return { row: el("div", { class: "slider" }, [name, input, output]), slider: { dimension, input, output } };
  }
  function dimensionsByKl({ kl, latent }) {
    const order = Array.from({ length: latent }, (_, d) => d);
    return kl.length === 0 ? order : order.sort((p, q) => kl[q] - kl[p]);
  }
  function setRange(input, units) {
    const [min, max, step] = units === "sd" ? [-RANGE, RANGE, 0.01] : [1e-3, 0.999, 1e-3];
    [input.min, input.max, input.step] = [String(min), String(max), String(step)];
  }
  function placeOf2(model, sorted, d, value, units) {
    if (units === "sd") return (value - model.mean[d]) / (model.scale[d] || 1);
    return share(sorted[d], value);
  }
  function valueOf(model, sorted, d, place2, units) {
    return units === "sd" ? model.mean[d] + place2 * (model.scale[d] || 1) : quantile(sorted[d], place2);
  }
  function column(model, d) {
    return Float32Array.from({ length: model.count }, (_, i) => model.codeRows[i * model.latent + d]);
  }
  function priorMean(model) {
    if (model.radius === 0) return Float32Array.from(model.priorMean);
    const scale = model.radius / (norm(model.mean) || 1);
    return Float32Array.from(model.mean, (v) => v * scale);
  }

  // src/ui/paint.ts
  function imageCanvas(shape, box, alt, testid) {
    const canvas = el("canvas", { role: "img", "aria-label": alt, class: "pixels", "data-testid": testid });
    sizeFor(canvas, shape, box);
    return canvas;
  }
  function sizeFor(canvas, [, height, width2], box) {
    const factor = Math.max(1, Math.floor(box / Math.max(width2, height)));
    if (canvas.width !== width2 || canvas.height !== height) [canvas.width, canvas.height] = [width2, height];
    canvas.style.width = `${width2 * factor}px`;
    canvas.style.height = `${height * factor}px`;
  }
  function rgba(numbers2, [channels, height, width2], top = 1) {
    const image = new ImageData(width2, height);
    const area = height * width2;
    const factor = 255 / top;
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = numbers2[(channels === 1 ? 0 : Math.min(c, channels - 1)) * area + i] * factor;
      image.data[4 * i + 3] = 255;
    }
    return image;
  }
  function paint(canvas, numbers2, shape, top = 1) {
    canvas.getContext("2d").putImageData(rgba(numbers2, shape, top), 0, 0);
  }
  function topOf(numbers2) {
    let top = 1e-9;
    for (const v of numbers2) top = Math.max(top, v);
    return top;
  }
  function stamp(model, numbers2) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [model.image[2], model.image[1]];
    paint(canvas, numbers2, model.image);
    return canvas;
  }

  // src/ui/paths.ts
  function between(path2, a, b, t) {
    return path2 === "straight" ? straight(a, b, t) : greatCircle(a, b, t);
  }
  function straight(a, b, t) {
    return a.map((v, i) => v + t * (b[i] - v));
  }
  function greatCircle(a, b, t) {
    const [lengthA, lengthB] = [norm(a), norm(b)];
    if (lengthA < 1e-9 || lengthB < 1e-9) return straight(a, b, t);
    const cosine = Math.min(1, Math.max(-1, dot(a, b) / lengthA / lengthB));
    const angle = Math.acos(cosine);
    if (Math.sin(angle) < 1e-6) return straight(a, b, t);
    const length = lengthA + t * (lengthB - lengthA);
    const wA = length * Math.sin((1 - t) * angle) / Math.sin(angle) / lengthA;
    const wB = length * Math.sin(t * angle) / Math.sin(angle) / lengthB;
    return a.map((v, i) => wA * v + wB * b[i]);
  }

  // src/ui/strip.ts
  var IMAGES = 9;
  function mountStrip(app) {
    const { store } = app;
    const tools = () => byId("pin-tools").replaceChildren(
      button("Pin A here", () => store.set({ a: store.state.z }), { "data-testid": "pin-a" }),
      button("Pin B here", () => store.set({ b: store.state.z }), { "data-testid": "pin-b" }),
      button("swap", () => store.set({ a: store.state.b, b: store.state.a }), { class: "quiet", "data-testid": "pin-swap" }),
      button("remove", () => store.set({ a: null, b: null }), { class: "quiet", "data-testid": "pin-clear" }),
      ...current(app).support === "codes" ? [] : [way(app)]
    );
    store.on(["model"], tools);
    tools();
    let turn = 0;
    const draw = async () => {
      const model = current(app);
      const { a, b, path: path2, label } = store.state;
      const mine = ++turn;
      if (!a || !b) {
        byId("strip").replaceChildren();
        byId("strip-note").textContent = "Pin two places of the map, A and B: the images on the way between them appear here.";
        return;
      }
      const stops = Array.from({ length: IMAGES }, (_, i) => model.support === "codes" && i > 0 && i < IMAGES - 1 ? null : i);
      const made2 = [];
      for (const i of stops.filter((stop) => stop !== null)) {
        const t = i / (IMAGES - 1);
        const z = onSupport(model, between(path2, a, b, t));
        const numbers2 = await app.asker.decode(model, z, labelFor(model, label), "mean", `strip ${i}`);
        if (mine !== turn || !numbers2) return;
        const canvas = imageCanvas(model.image, 112, "", "strip-image");
        canvas.setAttribute("aria-hidden", "true");
        paint(canvas, numbers2, model.image);
        const name = i === 0 ? "A" : i === IMAGES - 1 ? "B" : fixed(t, 3).replace(/0+$/, "");
        const go = el("button", { type: "button", class: "image", "aria-label": `Go to ${name} on the way` }, [canvas, name]);
        go.addEventListener("click", () => store.set({ z, hover: null, example: null }));
        made2.push(go);
      }
      byId("strip").replaceChildren(...made2);
      byId("strip-note").textContent = note(model, a, b);
    };
    store.on(["model", "a", "b", "path", "label"], () => void draw());
    void draw();
  }
  function way({ store }) {
    const ways = [["straight", "straight line"], ["circle", "great circle"]];
    return choices("path", "Way from A to B", ways, store.state.path, (path2) => store.set({ path: path2 }));
  }
  function note(model, a, b) {
    if (model.support === "codes") return "Codes of a table have nothing between them: A and B only.";
    const distance = norm(a.map((v, i) => v - b[i]));
    return `From A to B it is ${fixed(distance)} units of z. Click an image to go there.`;
  }
  function onSupport(model, z) {
    if (model.radius === 0) return z;
    const scale = model.radius / (norm(z) || 1);
    return z.map((v) => v * scale);
  }
  function firstPins(model) {
    if (model.count < 2) return null;
    if (model.codeLabels.length === 0 || model.classes.length < 2) return [codeOf(model, 0), codeOf(model, 1)];
    const typical = model.classes.map((_, index2) => {
      const own = Array.from({ length: model.count }, (_2, i) => i).filter((i) => model.codeLabels[i] === index2);
      if (own.length === 0) return null;
      const codes = own.map((i) => codeOf(model, i));
      const mean = codes[0].map((_2, d) => codes.reduce((sum, code) => sum + code[d], 0) / codes.length);
      const distance = (code) => norm(code.map((v, d) => v - mean[d]));
      return codes.reduce((best3, code) => distance(code) < distance(best3) ? code : best3);
    });
    const found = typical.filter((code) => code !== null);
    if (found.length < 2) return null;
    let best2 = [found[0], found[1]];
    const apart = ([p, q]) => norm(p.map((v, d) => v - q[d]));
    found.forEach((p, i) => found.slice(i + 1).forEach((q) => best2 = apart([p, q]) > apart(best2) ? [p, q] : best2));
    return best2;
  }

  // src/ui/theme.ts
  function theme() {
    const style = getComputedStyle(document.documentElement);
    const read3 = (name) => style.getPropertyValue(`--${name}`).trim();
    const names2 = ["paper", "ink", "muted", "accent", "density", "hatch"];
    const [paper, ink, muted, accent, density, hatch2] = names2.map(read3);
    return { dark: read3("dark") === "1", paper, ink, muted, accent, density, hatch: hatch2 };
  }
  function onTheme(then) {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", then);
    addEventListener("beforeprint", () => {
      document.documentElement.classList.add("printing");
      then();
    });
    addEventListener("afterprint", () => {
      document.documentElement.classList.remove("printing");
      then();
    });
  }

  // src/ui/header.ts
  function mountHeader(app) {
    const { store, models: models2 } = app;
    const update = () => {
      const model = current(app);
      byId("title").textContent = model.name;
      document.title = `${model.name} · vaelab explorer`;
      byId("facts").replaceChildren(...model.facts.map(([what, value]) => el("div", {}, [el("dt", {}, [what]), el("dd", {}, [value])])));
      byId("results").replaceChildren(
        ...model.results.map(([what, value, meaning]) => el("div", { title: meaning }, [el("dt", {}, [what]), el("dd", {}, [value])]))
      );
      byId("meanings").replaceChildren(
        ...model.results.flatMap(([what, value, meaning]) => [el("dt", {}, [`${what}: ${value}`]), el("dd", {}, [meaning])])
      );
      byId("all-facts").replaceChildren(...model.facts.flatMap(([what, value]) => [el("dt", {}, [what]), el("dd", {}, [value])]));
      mapTools(app);
      legend(app);
    };
    if (models2.length > 1) {
      const options = models2.map((model) => [String(model.index), model.name]);
      byId("model-choice").append(choices("model", "Model", options, String(store.state.model), (index2) => choose(app, Number(index2))));
    }
    store.on(["model", "points", "backdrop"], () => legend(app));
    store.on(["model"], update);
    store.on(["label"], () => current(app).conditional && mapTools(app));
    onTheme(() => legend(app));
    update();
  }
  function choose(app, index2) {
    const { store, models: models2 } = app;
    const [old, next] = [current(app), models2[index2]];
    const same = old.latent === next.latent && old.support === next.support && next.support === "real";
    const pins = same ? null : firstPins(next);
    store.set({
      model: index2,
      hover: null,
      example: null,
      label: next.classes.some(({ label }) => label === store.state.label) ? store.state.label : next.classes[0]?.label ?? 0,
      axes: old.latent === next.latent ? store.state.axes : firstAxes(next),
      ...same ? {} : { z: codeOf(next, 0), a: pins?.[0] ?? null, b: pins?.[1] ?? null }
    });
  }
  function mapTools(app) {
    const { store } = app;
    const model = current(app);
    const tools = [];
    if (model.latent > 2) {
      const { axes: axes2 } = store.state;
      const set = (next) => {
        store.set({ axes: next });
        mapTools(app);
      };
      const order = dimensionsByKl(model);
      const kinds = [["principal", "principal components"], ["two", "two dimensions"]];
      if (model.support !== "codes") {
        tools.push(select("Map of", kinds, axes2 === "principal" ? "principal" : "two", (kind) => set(kind === "principal" ? "principal" : [order[0], order[1]]), "axes"));
      }
      if (axes2 !== "principal") {
        const options = order.map((d) => [String(d), dimensionName(d)]);
        for (const [place2, text2] of [[0, "across"], [1, "up"]]) {
          tools.push(select(text2, options.filter(([d]) => Number(d) !== axes2[1 - place2]), String(axes2[place2]), (d) => set(place2 === 0 ? [Number(d), axes2[1]] : [axes2[0], Number(d)]), `axis-${text2}`));
        }
      }
    }
    if (model.conditional) {
      const options = model.classes.map(({ label, name }) => [String(label), name]);
      const pick = select("Class that is drawn", options, String(store.state.label), (label) => store.set({ label: Number(label) }), "label");
      tools.push(pick);
    }
    tools.push(
      checkbox("test images", store.state.points, (points) => store.set({ points }), "points"),
      checkbox("decoded images", store.state.backdrop, (backdrop) => store.set({ backdrop }), "backdrop")
    );
    const focused = document.activeElement?.getAttribute("data-testid");
    byId("map-tools").replaceChildren(...tools);
    if (focused) byId("map-tools").querySelector(`[data-testid="${focused}"]`)?.focus();
  }
  function legend(app) {
    const model = current(app);
    const { dark } = theme();
    const key2 = (kind, text2) => el("li", {}, [el("span", { class: `key ${kind}`, "aria-hidden": "true" }), text2]);
    const items = [key2("dense", `where the codes of ${model.count.toLocaleString("en")} test images are dense`)];
    if (model.support === "real") items.push(key2("prior", "1, 2, 3 standard deviations of the prior"));
    if (model.support === "sphere") items.push(key2("sphere", "edge of the sphere of all z"));
    if (model.support !== "codes") items.push(key2("hole", "holes: the prior draws z there, but hardly any test image has its code there"));
    if (model.support === "codes") items.push(key2("none", "a place stands for the nearest code of a test image"));
    if (model.latent > 2) items.push(key2("none", "a shadow of all dimensions: places that look close can be far apart"));
    byId("legend").replaceChildren(...items);
    const names2 = model.codeLabels.length > 0 ? model.classes : [];
    byId("classes").replaceChildren(
      ...names2.map(({ name }, index2) => {
        const dot2 = el("span", { class: "dot", "aria-hidden": "true" });
        dot2.style.backgroundColor = classColour(index2, names2.length, dark);
        return el("li", {}, [dot2, name]);
      })
    );
  }

  // src/ui/live.ts
  var SPOKEN_AFTER = 500;
  var PLACES = {
    data: "Test images lie here.",
    hole: "A hole: the prior draws z here, but hardly any test image has its code here. The image means little.",
    outside: "Outside: neither test images nor the prior's draws lie here."
  };
  function mountLive(app) {
    const { store } = app;
    const canvas = byId("live");
    const resize = () => sizeFor(canvas, current(app).image, byId("live-box").clientWidth);
    const draw = async () => {
      const model = current(app);
      const { view, label, seed } = store.state;
      const numbers2 = await app.asker.decode(model, shownZ(app), labelFor(model, label), view, "live", seed);
      if (!numbers2 || model !== current(app)) return;
      const spread = view === "spread" && hasOutput(model, "decode", "spread");
      const top = spread ? topOf(numbers2) : 1;
      paint(canvas, numbers2, model.image, top);
      byId("view-note").textContent = viewNote(view, spread, top);
    };
    store.on(["model", "z", "hover", "view", "label", "seed"], () => void draw());
    store.on(["model"], resize);
    new ResizeObserver(resize).observe(byId("live-box"));
    resize();
    void draw();
    let timer;
    const say2 = () => {
      const [where2, place2] = words2(app);
      byId("where").textContent = where2;
      byId("place").textContent = PLACES[place2];
      byId("place").dataset["place"] = byId("live-box").dataset["place"] = place2;
      clearTimeout(timer);
      timer = setTimeout(() => byId("spoken").textContent = spoken(app, where2, place2), SPOKEN_AFTER);
    };
    store.on(["model", "z", "hover", "axes"], say2);
    say2();
    const views = () => mountViews(app);
    store.on(["model"], views);
    views();
  }
  function mountViews(app) {
    const { store } = app;
    const model = current(app);
    const all = [["mean", "mean"], ["draw", "a draw"], ["spread", "spread"]];
    const there = all.filter(([view]) => hasOutput(model, "decode", view));
    if (!there.some(([view]) => view === store.state.view)) store.set({ view: "mean" });
    const again = button("draw again", () => store.set({ view: "draw", seed: store.state.seed + 1 }), { class: "quiet", "data-testid": "draw-again" });
    const shown = choices("view", "What of p(x|z) is shown", there, store.state.view, (view) => store.set({ view }));
    byId("views").replaceChildren(shown, ...hasOutput(model, "decode", "draw") ? [again] : []);
  }
  function viewNote(view, spread, top) {
    if (spread) return `Standard deviation of each pixel; white is ${fixed(top, 3)} (black to white is 1).`;
    if (view === "draw") return "One draw of every pixel from p(x|z).";
    return "The mean of p(x|z) at this z.";
  }
  function words2(app) {
    const atlas = currentAtlas(app);
    const model = current(app);
    const [x, y] = shownPoint(app);
    const { axes: axes2 } = app.store.state;
    if (model.latent === 1) return [`z = ${fixed(x)}`, placeOf(atlas, [x, y])];
    const names2 = axes2 === "principal" ? ["PC 1", "PC 2"] : axes2.map(dimensionName);
    const length = model.latent > 2 ? `, |z| = ${fixed(norm(shownZ(app)))}` : "";
    return [`${names2[0]} = ${fixed(x)}, ${names2[1]} = ${fixed(y)}${length}`, placeOf(atlas, [x, y])];
  }
  function spoken(app, where2, place2) {
    const model = current(app);
    const atlas = currentAtlas(app);
    const at = project(atlas.plane, shownZ(app));
    const index2 = nearest(atlas, at, model.count);
    const near = classOf(model, index2)?.name;
    const dense = `density ${Math.round(100 * densityAt(atlas.density, at))} % of the highest`;
    return `${where2}. ${PLACES[place2]} ${near ? `The nearest test image is of class ${near}; ` : ""}${dense}.`;
  }

  // src/ui/manifold.ts
  var TILES = 16;
  var key = "";
  var tiles = [];
  function manifold(app, then) {
    const { state } = app.store;
    const model = current(app);
    const { frame } = currentAtlas(app);
    const rest = Array.from(zAt(app, [frame.x, frame.y]), (v) => v.toFixed(2)).join();
    const wanted = `${model.index} ${String(state.axes)} ${state.label} ${rest}`;
    if (wanted !== key) {
      key = wanted;
      tiles = [];
      void fill2();
    }
    return tiles;
    async function fill2() {
      const mine = tiles;
      const places = [];
      for (let row2 = TILES - 1; row2 >= 0; row2--) {
        for (let column2 = 0; column2 < TILES; column2++) {
          const place2 = (i, middle) => middle + ((2 * i + 1) / TILES - 1) * frame.half;
          places.push([place2(column2, frame.x), place2(row2, frame.y)]);
        }
      }
      for (const [i, at] of places.entries()) {
        if (wanted !== key) return;
        const mean = await app.asker.decode(model, zAt(app, at), labelFor(model, state.label));
        if (mean) mine.push({ at, image: stamp(model, mean) });
        if (wanted === key && (i % TILES === TILES - 1 || i === places.length - 1)) then();
      }
    }
  }

  // src/ui/mapdraw.ts
  function toPixel({ frame, size: size2 }, [x, y]) {
    return [(x - frame.x + frame.half) / (2 * frame.half) * size2, (frame.y + frame.half - y) / (2 * frame.half) * size2];
  }
  function fromPixel({ frame, size: size2 }, [px, py]) {
    return [frame.x - frame.half + px / size2 * 2 * frame.half, frame.y + frame.half - py / size2 * 2 * frame.half];
  }
  var OVER_DARK = { muted: "rgba(255, 255, 255, 0.9)", hatch: "rgba(255, 255, 255, 0.55)" };
  var OVER_LIGHT = { muted: "rgba(0, 0, 0, 0.9)", hatch: "rgba(0, 0, 0, 0.5)" };
  function drawMap(pen, scale, atlas, model, colours, layers) {
    const { size: size2 } = scale;
    pen.clearRect(0, 0, size2, size2);
    pen.fillStyle = colours.paper;
    pen.fillRect(0, 0, size2, size2);
    shade(pen, scale, atlas, colours);
    const tiled = layers.backdrop.length > 0;
    if (tiled) drawTiles(pen, scale, layers);
    const lines = tiled ? { ...colours, ...isDark(model) ? OVER_DARK : OVER_LIGHT } : colours;
    hatch(pen, scale, atlas, lines);
    contours(pen, scale, atlas, lines);
    if (layers.points) drawPoints(pen, scale, atlas, model, colours, tiled ? 0.55 : 0.8);
    axes(pen, scale, colours);
    if (layers.points) names(pen, scale, atlas, model, colours);
  }
  function shade(pen, { size: size2 }, { density }, colours) {
    const { cells, values } = density;
    const small = document.createElement("canvas");
    small.width = small.height = cells;
    const image = new ImageData(cells, cells);
    const [r, g, b] = colours.density.split(/[ ,]+/).map(Number);
    for (let y = 0; y < cells; y++) {
      for (let x = 0; x < cells; x++) {
        const at = 4 * ((cells - 1 - y) * cells + x);
        image.data.set([r, g, b, 150 * Math.sqrt(values[y * cells + x])], at);
      }
    }
    small.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = true;
    pen.drawImage(small, 0, 0, size2, size2);
  }
  function drawTiles(pen, scale, { backdrop, tiles: tiles2 }) {
    const side = scale.size / tiles2;
    pen.imageSmoothingEnabled = false;
    pen.globalAlpha = 0.85;
    for (const { at, image } of backdrop) {
      const [x, y] = toPixel(scale, at);
      pen.drawImage(image, x - side / 2, y - side / 2, side, side);
    }
    pen.globalAlpha = 1;
  }
  function hatch(pen, scale, atlas, colours) {
    const { size: size2 } = scale;
    const step = 3;
    pen.save();
    pen.beginPath();
    for (let y = 0; y < size2; y += step) {
      let start2 = -1;
      for (let x = 0; x <= size2; x += step) {
        const inside = x < size2 && placeOf(atlas, fromPixel(scale, [x + step / 2, y + step / 2])) === "hole";
        if (inside && start2 < 0) start2 = x;
        if (!inside && start2 >= 0) {
          pen.rect(start2, y, x - start2, step);
          start2 = -1;
        }
      }
    }
    pen.clip();
    pen.beginPath();
    for (let offset = -size2; offset < size2; offset += 8) {
      pen.moveTo(offset, size2);
      pen.lineTo(offset + size2, 0);
    }
    pen.strokeStyle = colours.hatch;
    pen.lineWidth = 1;
    pen.stroke();
    pen.restore();
  }
  function drawEllipse(pen, scale, ellipse, times) {
    const [x, y] = toPixel(scale, [ellipse.x, ellipse.y]);
    const unit2 = times * scale.size / (2 * scale.frame.half);
    pen.beginPath();
    pen.ellipse(x, y, Math.max(1, ellipse.major * unit2), Math.max(1, ellipse.minor * unit2), -ellipse.angle, 0, 2 * Math.PI);
    pen.stroke();
  }
  function contours(pen, scale, { prior, plane }, colours) {
    pen.strokeStyle = colours.muted;
    pen.lineWidth = 1;
    if (plane.radius > 0) drawEllipse(pen, scale, { x: 0, y: 0, major: plane.radius, minor: plane.radius, angle: 0 }, 1);
    if (!prior) return;
    pen.setLineDash([5, 4]);
    for (let times = 1; times <= REACH; times++) {
      if (plane.radius === 0 || times * prior.major < plane.radius) drawEllipse(pen, scale, prior, times);
    }
    pen.setLineDash([]);
  }
  var PICTURED = 3.4;
  function drawPoints(pen, scale, atlas, model, colours, alpha) {
    const many = model.classes.length;
    const radius = atlas.points.length > 2e3 ? 1.5 : 2.2;
    pen.globalAlpha = alpha;
    atlas.points.forEach((point, i) => {
      const [x, y] = toPixel(scale, point);
      const index2 = model.codeLabels[i];
      pen.fillStyle = index2 === void 0 ? colours.accent : classColour(index2, many, colours.dark);
      pen.beginPath();
      pen.arc(x, y, i < model.exampleCount ? PICTURED : radius, 0, 2 * Math.PI);
      pen.fill();
    });
    pen.globalAlpha = 1;
  }
  function axes(pen, scale, colours) {
    const { frame, size: size2 } = scale;
    const step = tickStep(2 * frame.half);
    pen.fillStyle = colours.muted;
    pen.strokeStyle = colours.muted;
    pen.lineWidth = 1;
    pen.font = "11px system-ui, sans-serif";
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    for (const axis of [0, 1]) {
      const middle = axis === 0 ? frame.x : frame.y;
      for (let v = Math.ceil((middle - frame.half * 0.9) / step) * step; v <= middle + frame.half * 0.9; v += step) {
        const [x, y] = toPixel(scale, axis === 0 ? [v, frame.y] : [frame.x, v]);
        pen.textAlign = axis === 0 ? "center" : "left";
        pen.textBaseline = axis === 0 ? "bottom" : "middle";
        halo(pen, fixed(v, digits), axis === 0 ? x : 8, axis === 0 ? size2 - 7 : y, colours);
        pen.beginPath();
        pen.moveTo(axis === 0 ? x : 0, axis === 0 ? size2 : y);
        pen.lineTo(axis === 0 ? x : 5, axis === 0 ? size2 - 5 : y);
        pen.stroke();
      }
    }
  }
  function tickStep(span) {
    const rough = span / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10);
  }
  function halo(pen, text2, x, y, colours) {
    pen.save();
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeStyle = colours.paper;
    pen.strokeText(text2, x, y);
    pen.restore();
    pen.fillText(text2, x, y);
  }
  function names(pen, scale, atlas, model, colours) {
    pen.font = "600 15px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const boxes = atlas.names.map(({ text: text2, at, index: index2 }) => {
      const shown = shortened(text2, 14);
      const [x, y] = toPixel(scale, at);
      const half = pen.measureText(shown).width / 2 + 7;
      return { shown, index: index2, half, x: Math.min(scale.size - half, Math.max(half, x)), y: Math.min(scale.size - 34, Math.max(12, y)) };
    });
    spreadOut(boxes);
    for (const { shown, index: index2, x, y } of boxes) {
      const half = pen.measureText(shown).width / 2 + 5;
      pen.beginPath();
      pen.roundRect(x - half, y - 10, 2 * half, 20, 5);
      pen.fillStyle = colours.paper;
      pen.fill();
      pen.strokeStyle = classColour(index2, model.classes.length, colours.dark);
      pen.lineWidth = 2.5;
      pen.stroke();
      pen.fillStyle = colours.ink;
      pen.fillText(shown, x, y + 1);
    }
  }
  function spreadOut(boxes) {
    const height = 25;
    for (let round2 = 0; round2 < 30; round2++) {
      let calm = true;
      boxes.forEach((a, i) => {
        for (const b of boxes.slice(i + 1)) {
          if (Math.abs(a.x - b.x) >= a.half + b.half || Math.abs(a.y - b.y) >= height) continue;
          const push = (height - Math.abs(a.y - b.y)) / 2 + 0.5;
          const sign = a.y <= b.y ? 1 : -1;
          a.y -= sign * push;
          b.y += sign * push;
          calm = false;
        }
      });
      if (calm) return;
    }
  }

  // src/ui/map.ts
  var KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  var STEP = 1 / 60;
  function mountMap(app) {
    const { store } = app;
    const base = byId("map-base");
    const over = byId("map");
    let posterior = null;
    const scale = () => ({ frame: currentAtlas(app).frame, size: over.clientWidth || 1 });
    const drawBase = () => {
      const pen = penOf(base, over.clientWidth);
      const { backdrop, points } = store.state;
      const images = backdrop ? manifold(app, drawBase) : [];
      drawMap(pen, scale(), currentAtlas(app), current(app), theme(), { backdrop: images, tiles: TILES, points });
    };
    const drawOver = () => {
      const pen = penOf(over, over.clientWidth);
      drawOverlay(pen, scale(), app, posterior);
    };
    const drawAll = () => {
      drawBase();
      drawOver();
    };
    store.on(["model", "axes", "backdrop", "points"], drawAll);
    store.on(["z", "label"], () => store.state.backdrop && drawBase());
    store.on(["z", "hover", "a", "b", "path", "example", "own"], drawOver);
    onTheme(drawAll);
    new ResizeObserver(drawAll).observe(over);
    listen2(app, over, scale);
    return {
      showPosterior(shown) {
        posterior = shown;
        drawOver();
      }
    };
  }
  function penOf(canvas, size2) {
    const dense = Math.max(1, devicePixelRatio || 1);
    const pixels2 = Math.max(1, Math.round(size2 * dense));
    if (canvas.width !== pixels2) canvas.width = canvas.height = pixels2;
    const pen = canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    return pen;
  }
  function zAt(app, at) {
    const model = current(app);
    const atlas = currentAtlas(app);
    if (model.support !== "codes") return moved(atlas.plane, app.store.state.z, at);
    const index2 = nearest(atlas, at, model.count);
    return index2 < 0 ? app.store.state.z : codeOf(model, index2);
  }
  function listen2(app, canvas, scale) {
    const { store } = app;
    const at = (event) => fromPixel(scale(), [event.offsetX, event.offsetY]);
    let down = false;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      down = true;
      canvas.setPointerCapture(event.pointerId);
      store.set({ z: zAt(app, at(event)), hover: null, example: null });
    });
    canvas.addEventListener("pointermove", (event) => {
      if (down) store.set({ z: zAt(app, at(event)), hover: null });
      else if (event.pointerType === "mouse") store.set({ hover: zAt(app, at(event)), example: null });
    });
    const up = () => void (down = false);
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => store.set({ hover: null }));
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const direction = KEYS[event.key];
      const { z } = store.state;
      if (direction) {
        const step = 2 * scale().frame.half * STEP * (event.shiftKey ? 5 : 1);
        const [x, y] = project(currentAtlas(app).plane, z);
        store.set({ z: stepped(app, [x + step * direction[0], y + step * direction[1]], direction), hover: null, example: null });
      } else if (event.key === "a" || event.key === "b") store.set(event.key === "a" ? { a: z } : { b: z });
      else if (event.key === "Home") store.set({ z: zAt(app, project(currentAtlas(app).plane, current(app).priorMean)), example: null });
      else return;
      event.preventDefault();
    });
  }
  function stepped(app, to, [dx, dy]) {
    const model = current(app);
    if (model.support !== "codes") return zAt(app, to);
    const atlas = currentAtlas(app);
    const [x, y] = project(atlas.plane, app.store.state.z);
    let [best2, least] = [-1, Infinity];
    atlas.points.forEach(([px, py], i) => {
      const along = (px - x) * dx + (py - y) * dy;
      const beside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      if (along > 1e-6 && beside <= along && along + beside < least) [best2, least] = [i, along + beside];
    });
    return best2 < 0 ? app.store.state.z : codeOf(model, best2);
  }
  function drawOverlay(pen, scale, app, posterior) {
    const { state } = app.store;
    const atlas = atlasOf(current(app), state.axes);
    const colours = theme();
    pen.clearRect(0, 0, scale.size, scale.size);
    if (state.a && state.b && current(app).support !== "codes") path(pen, scale, atlas, app);
    pen.strokeStyle = colours.ink;
    if (posterior) drawPosterior(pen, scale, atlas, posterior, colours.accent);
    const example = shownExample(app);
    if (example >= 0) ring(pen, toPixel(scale, atlas.points[example]), 6, colours.ink);
    for (const [name, z] of [["A", state.a], ["B", state.b]]) {
      if (z) pin(pen, toPixel(scale, project(atlas.plane, z)), name, colours.ink, colours.paper);
    }
    const set = toPixel(scale, project(atlas.plane, state.z));
    if (state.hover) ring(pen, set, 4, colours.muted);
    crosshair(pen, toPixel(scale, shownPoint(app)), colours.ink, colours.paper);
    pen.fillStyle = colours.accent;
    pen.font = "600 13px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    if (posterior) {
      const [x, y] = toPixel(scale, project(atlas.plane, posterior.mean));
      halo(pen, "your image", Math.min(scale.size - 40, Math.max(40, x)), Math.max(18, y - 8), colours);
    }
  }
  function drawPosterior(pen, scale, atlas, { mean, scale: spread }, colour) {
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 2;
    const [x, y] = toPixel(scale, project(atlas.plane, mean));
    pen.beginPath();
    pen.arc(x, y, 3, 0, 2 * Math.PI);
    pen.fill();
    if (!spread || atlas.plane.radius > 0) return;
    const ellipse = ofNormal(atlas.plane, mean, spread);
    for (const times of [1, 2]) drawEllipse(pen, scale, ellipse, times);
  }
  function path(pen, scale, atlas, { store: { state } }) {
    pen.strokeStyle = theme().ink;
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (let i = 0; i <= 40; i++) {
      const z = between(state.path, state.a, state.b, i / 40);
      const [x, y] = toPixel(scale, project(atlas.plane, z));
      if (i === 0) pen.moveTo(x, y);
      else pen.lineTo(x, y);
    }
    pen.stroke();
  }
  function ring(pen, [x, y], radius, colour) {
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.stroke();
  }
  function pin(pen, [x, y], name, ink, paper) {
    pen.fillStyle = ink;
    pen.strokeStyle = paper;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 9, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    pen.fillStyle = paper;
    pen.font = "700 11px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(name, x, y + 0.5);
  }
  function crosshair(pen, [x, y], ink, paper) {
    for (const [colour, width2] of [[paper, 5], [ink, 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width2;
      pen.beginPath();
      pen.arc(x, y, 7, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(x + 4 * dx, y + 4 * dy);
        pen.lineTo(x + 12 * dx, y + 12 * dy);
      }
      pen.stroke();
    }
  }

  // src/ui/codes.ts
  function codeGrid(model, codes) {
    const shape = model.programs.bound?.outputs["codes"]?.shape ?? model.programs.encode?.outputs["codes"]?.shape ?? [codes.length];
    const columns2 = columnsOf(shape, codes.length);
    const top = Math.max(1, ...codes);
    const cells = Array.from(codes, (code) => {
      const cell = el("span", {}, [String(code)]);
      cell.style.backgroundColor = `hsl(${Math.round(320 * code / top)} 45% 86%)`;
      return cell;
    });
    const grid = el("div", { class: "codes", role: "img", "aria-label": `Codes: ${Array.from(codes).join(" ")}`, "data-testid": "codes" }, cells);
    grid.style.gridTemplateColumns = `repeat(${columns2}, 1fr)`;
    return el("figure", {}, [grid, el("figcaption", {}, [`its ${codes.length} codes: numbers of entries of the table`])]);
  }
  function columnsOf(shape, count) {
    const axes2 = shape.filter((length) => length > 1);
    if (axes2.length > 1) return axes2[axes2.length - 1];
    const root = Math.sqrt(count);
    return Number.isInteger(root) ? root : Math.min(count, 16);
  }

  // src/ui/picture.ts
  function converted(from, { image, binary, paper, swapped }) {
    const [channels, height, width2] = image;
    const factor = Math.min(width2 / from.width, height / from.height);
    const [w, h] = [Math.max(1, Math.round(from.width * factor)), Math.max(1, Math.round(from.height * factor))];
    const transparent = hasTransparency(from);
    const behind = paper === "white" ? 1 : 0;
    const small = scaled(flattened(from, behind), from.width, from.height, w, h);
    const colourful = channels === 1 && isColourful(small);
    const pixels2 = new Float32Array(channels * height * width2).fill(behind);
    const [left, top] = [Math.floor((width2 - w) / 2), Math.floor((height - h) / 2)];
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const at = 3 * (y * w + x);
        const rgb = [small[at], small[at + 1], small[at + 2]];
        const levels2 = channels === 1 ? [0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]] : rgb;
        levels2.slice(0, channels).forEach((v, c) => pixels2[(c * height + top + y) * width2 + left + x] = v);
      }
    }
    const steps = [];
    if (transparent) steps.push(`transparent parts on ${paper}`);
    if (from.width !== w || from.height !== h) {
      steps.push(`${(from.full ?? [from.width, from.height]).join(" × ")} pixels scaled to ${w} × ${h}`);
    }
    if (w !== width2 || h !== height) steps.push(`centred on ${paper} in ${width2} × ${height}`);
    if (colourful) steps.push("colours to grey");
    if (swapped) {
      pixels2.forEach((v, i) => pixels2[i] = 1 - v);
      steps.push("light and dark swapped");
    }
    if (binary) {
      pixels2.forEach((v, i) => pixels2[i] = v >= 0.5 ? 1 : 0);
      steps.push("each pixel to 0 or 1, at one half");
    }
    return { pixels: pixels2, steps };
  }
  function hasTransparency({ data }) {
    for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return true;
    return false;
  }
  function flattened({ data }, behind) {
    const made2 = new Float32Array(data.length / 4 * 3);
    for (let i = 0, j = 0; i < data.length; i += 4, j += 3) {
      const alpha = data[i + 3] / 255;
      for (let c = 0; c < 3; c++) made2[j + c] = data[i + c] / 255 * alpha + behind * (1 - alpha);
    }
    return made2;
  }
  function isColourful(rgb) {
    for (let i = 0; i < rgb.length; i += 3) {
      if (Math.abs(rgb[i] - rgb[i + 1]) + Math.abs(rgb[i + 1] - rgb[i + 2]) > 0.04) return true;
    }
    return false;
  }
  function scaled(rgb, width2, height, w, h) {
    if (width2 === w && height === h) return rgb;
    const rows = resampled(rgb, height, width2, w, (line, i) => 3 * (line * width2 + i), (line, i) => 3 * (line * w + i));
    return resampled(rows, w, height, h, (line, i) => 3 * (i * w + line), (line, i) => 3 * (i * w + line));
  }
  function resampled(from, lines, old, made2, at, to) {
    const out = new Float32Array(3 * lines * made2);
    for (let i = 0; i < made2; i++) {
      const [start2, end] = [i * old / made2, (i + 1) * old / made2];
      for (let k = Math.floor(start2); k < Math.min(old, Math.ceil(end)); k++) {
        const weight = (Math.min(end, k + 1) - Math.max(start2, k)) / (end - start2);
        for (let line = 0; line < lines; line++) {
          for (let c = 0; c < 3; c++) out[to(line, i) + c] += weight * from[at(line, k) + c];
        }
      }
    }
    return out;
  }
  function isAnimated(bytes2) {
    const text2 = (start2, length) => String.fromCharCode(...bytes2.subarray(start2, start2 + length));
    if (text2(0, 3) === "GIF") {
      let frames = 0;
      for (let i = 0; i + 3 < bytes2.length; i++) {
        if (bytes2[i] === 33 && bytes2[i + 1] === 249 && bytes2[i + 2] === 4 && bytes2[i + 7] === 0) frames++;
      }
      return frames > 1;
    }
    if (text2(1, 3) === "PNG") return text2(0, Math.min(bytes2.length, 4096)).includes("acTL");
    return text2(0, 4) === "RIFF" && text2(8, 4) === "WEBP" && text2(0, Math.min(bytes2.length, 256)).includes("ANIM");
  }

  // src/ui/files.ts
  var NotAnImage = class extends Error {
  };
  var LONG = 2048;
  var BYTES3 = 200 * 1024 * 1024;
  async function open(file) {
    const name = file instanceof File && file.name ? `“${file.name.slice(0, 60)}”` : "What you gave";
    if (file.size > BYTES3) throw new NotAnImage(`${name} has more than 200 MB. Make it smaller first.`);
    if (file.size === 0) throw new NotAnImage(`${name} is empty.`);
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
    } catch {
      throw new NotAnImage(`${name} is not an image that this browser can read. PNG, JPEG, WebP and GIF work.`);
    }
    const notes = isAnimated(new Uint8Array(await file.arrayBuffer())) ? ["first frame of an animation"] : [];
    const factor = Math.min(1, LONG / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * factor));
    canvas.height = Math.max(1, Math.round(bitmap.height * factor));
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const full = [bitmap.width, bitmap.height];
    bitmap.close();
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return { picture: { width: canvas.width, height: canvas.height, data, full }, notes };
  }
  function fileOf(data) {
    const files = [...data?.files ?? []];
    return files.find((file) => file.type.startsWith("image/")) ?? files[0] ?? null;
  }

  // src/ui/pen.ts
  var LONG2 = 280;
  function mountPen(shape, paper, then) {
    const canvas = byId("pad");
    const [channels, height, width2] = shape;
    const factor = LONG2 / Math.max(width2, height);
    [canvas.width, canvas.height] = [Math.round(width2 * factor), Math.round(height * factor)];
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    let behind = paper;
    let erasing = false;
    let last = null;
    const ink = el("input", { type: "color", "aria-label": "Colour of the pen", value: "#e07a3f" });
    const thickness = el("input", { type: "range", min: "1", max: "40", value: "20", id: "pen-width", "data-testid": "pen-width" });
    const read3 = () => {
      const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
      then({ width: canvas.width, height: canvas.height, data });
    };
    const fill2 = () => {
      pen.fillStyle = behind;
      pen.fillRect(0, 0, canvas.width, canvas.height);
    };
    const at = (event) => [
      event.offsetX * canvas.width / canvas.clientWidth,
      event.offsetY * canvas.height / canvas.clientHeight
    ];
    const line = (to) => {
      const front = channels > 1 ? ink.value : behind === "black" ? "white" : "black";
      pen.strokeStyle = erasing ? behind : front;
      pen.lineWidth = Number(thickness.value) * (erasing ? 1.5 : 1);
      pen.lineCap = pen.lineJoin = "round";
      pen.beginPath();
      pen.moveTo(...last ?? to);
      pen.lineTo(...to);
      pen.stroke();
      last = to;
    };
    canvas.onpointerdown = (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      last = null;
      line(at(event));
      read3();
    };
    canvas.onpointermove = (event) => {
      if (last === null) return;
      for (const each2 of event.getCoalescedEvents?.() ?? [event]) line(at(each2));
      read3();
    };
    canvas.onpointerup = canvas.onpointercancel = () => last = null;
    fill2();
    byId("pen-tools").replaceChildren(
      choices("tool", "Tool", [["pen", "pen"], ["eraser", "eraser"]], "pen", (tool) => erasing = tool === "eraser"),
      ...channels > 1 ? [ink] : [],
      el("label", { for: "pen-width", class: "thickness" }, ["width", thickness]),
      button("clear", () => (fill2(), read3()), { class: "quiet", "data-testid": "pen-clear" })
    );
    return {
      clear(next) {
        behind = next;
        fill2();
      }
    };
  }

  // src/ui/own.ts
  var FIRST_SEED = 1;
  var BOX = 168;
  function mountOwn(app, map) {
    const { store } = app;
    let picture = null;
    let notes = [];
    let paper = "black";
    let swapped = false;
    let pad;
    let code = null;
    let turn = 0;
    let opening = 0;
    const convert = () => {
      if (!picture) return;
      const model = current(app);
      const { pixels: levels2, steps } = converted(picture, { image: model.image, binary: model.binary, paper, swapped });
      const own = pixels(model, levels2.map((level) => Math.round(255 * level)));
      byId("own-steps").textContent = [...notes, ...steps].join("; ") + (notes.length + steps.length > 0 ? "." : "");
      byId("own-error").textContent = "";
      store.set({ own: { pixels: own, shape: model.image } });
    };
    const ask = async () => {
      const { own, label } = store.state;
      const model = current(app);
      const mine = ++turn;
      if (!own || String(own.shape) !== String(model.image) || !canRun(model, "encode")) return;
      const given = labelFor(model, label);
      const posterior = await app.asker.encode(model, own.pixels, given, "own q");
      if (mine !== turn || !posterior) return;
      map.showPosterior(posterior);
      code = posterior.mean;
      if (!canRun(model, "bound")) return;
      const bounds = [];
      for (let i = 0; i < model.draws; i++) {
        const bound = await app.asker.bound(model, own.pixels, given, "own bound", FIRST_SEED + i);
        if (mine !== turn || !bound) return;
        bounds.push(bound);
        if (i === 0) showPictures(model, own.pixels, bound);
      }
      showNumbers(model, bounds);
    };
    const take = async (file) => {
      if (!file) return say("There was no image in it: drop or paste an image file.");
      const mine = ++opening;
      say("");
      try {
        const opened = await open(file);
        if (mine !== opening) return;
        [picture, notes] = [opened.picture, opened.notes];
        convert();
      } catch (error) {
        if (!(error instanceof NotAnImage)) throw error;
        if (mine === opening) say(error.message);
      }
    };
    const forget = () => {
      [picture, notes] = [null, []];
      turn++;
      store.set({ own: null });
      map.showPosterior(null);
      byId("own-result").hidden = true;
    };
    const setUp = () => {
      const model = current(app);
      byId("own").hidden = !canRun(model, "encode");
      if (picture) {
        map.showPosterior(null);
        return convert();
      }
      paper = isDark(model) ? "black" : "white";
      swapped = false;
      pad = mountPen(model.image, paper, (drawn) => {
        [picture, notes] = [drawn, []];
        convert();
      });
      byId("own-options").replaceChildren(
        choices("paper", "Behind it", [["black", "on black"], ["white", "on white"]], paper, (next) => {
          paper = next;
          pad.clear(paper);
          convert();
        }),
        checkbox("swap light and dark", swapped, (on) => {
          swapped = on;
          convert();
        }, "swap")
      );
    };
    const input = byId("own-file");
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      input.value = "";
      if (file) void take(file);
    });
    byId("own-forget").addEventListener("click", () => {
      pad.clear(paper);
      forget();
    });
    byId("own-go").addEventListener("click", () => {
      if (!code) return;
      store.set({ z: code, hover: null, example: null });
      byId("map").focus();
    });
    listenForFiles(take);
    store.on(["model"], setUp);
    store.on(["own", "label", "model"], () => void ask());
    setUp();
  }
  function say(message) {
    byId("own-error").textContent = message;
  }
  function listenForFiles(take) {
    const body = document.body;
    addEventListener("dragover", (event) => {
      event.preventDefault();
      body.classList.add("dropping");
    });
    addEventListener("dragleave", (event) => event.relatedTarget === null && body.classList.remove("dropping"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      body.classList.remove("dropping");
      byId("own").scrollIntoView({ block: "nearest" });
      void take(fileOf(event.dataTransfer));
    });
    addEventListener("paste", (event) => {
      const file = fileOf(event.clipboardData);
      if (file) void take(file);
    });
  }
  function showPictures(model, given, bound) {
    const seen = imageCanvas(model.image, BOX, "What the model is given", "own-image");
    const again = imageCanvas(model.image, BOX, "Its reconstruction", "own-reconstruction");
    paint(seen, given, model.image);
    paint(again, bound.mean, model.image);
    byId("own-pictures").replaceChildren(
      el("figure", {}, [seen, el("figcaption", {}, ["what the model is given"])]),
      el("figure", {}, [again, el("figcaption", {}, ["its reconstruction"])]),
      ...bound.codes ? [codeGrid(model, bound.codes)] : []
    );
    byId("own-result").hidden = false;
  }
  function showNumbers(model, bounds) {
    const of = (pick) => withError(estimate(bounds.map(pick)));
    const rows = [
      ["−ELBO", of((bound) => bound.loss)],
      ["rate", of((bound) => bound.rate)],
      ["distortion", of((bound) => bound.distortion)]
    ];
    byId("own-facts").replaceChildren(...rows.flatMap(([what, value]) => [el("dt", {}, [what]), el("dd", {}, [value])]));
    byId("own-draws").textContent = `Mean of ${bounds.length} draws of z ± its standard error.`;
    byId("own-verdict").textContent = verdict(model, estimate(bounds.map((bound) => bound.loss)).mean);
  }
  function withError({ mean, error }) {
    return error > 5e-3 ? `${nats(mean).replace(" nats", "")} ± ${fixed(error, error < 1 ? 2 : 1)} nats` : nats(mean);
  }
  function verdict({ validation, validationOf }, loss) {
    if (validation.length === 0) return `How unusual it is cannot be said: ${validationOf || "the page has no validation images"}.`;
    const { p, asHigh, of } = unusual(validation, loss);
    const word = p <= 0.01 ? "very unusual" : p <= 0.05 ? "unusual" : "not unusual";
    const count = asHigh === 0 ? "none has" : asHigh === 1 ? "one has" : `${asHigh.toLocaleString("en")} have`;
    return `For this model the image is ${word}: of ${of.toLocaleString("en")} validation images, ${count} a −ELBO of ${nats(loss)} or more (p = ${Number(p.toPrecision(2))}).`;
  }

  // src/ui/point.ts
  var BOX2 = 112;
  function mountPoint(app) {
    const { store } = app;
    let shown = "";
    const update = async () => {
      const model = current(app);
      const { label } = store.state;
      const index2 = shownExample(app);
      const key2 = `${model.index} ${index2} ${label}`;
      if (index2 < 0 || key2 === shown) return;
      shown = key2;
      const pixels2 = exampleOf(model, index2);
      const truth = classOf(model, index2);
      const bound = canRun(model, "bound") ? await app.asker.bound(model, pixels2, labelFor(model, truth?.label ?? label), "point") : null;
      if (shown !== key2) return;
      if (canRun(model, "bound") && !bound) shown = "";
      else fill(model, index2, truth?.name, pixels2, bound);
    };
    const step = (by) => {
      const model = current(app);
      const example = (shownExample(app) + by + model.exampleCount) % model.exampleCount;
      const label = classOf(model, example)?.label ?? store.state.label;
      store.set({ example, z: codeOf(model, example), hover: null, ...model.conditional ? { label } : {} });
    };
    byId("point-steps").append(
      button("‹", () => step(-1), { "aria-label": "Previous test image", "data-testid": "point-previous" }),
      button("›", () => step(1), { "aria-label": "Next test image", "data-testid": "point-next" }),
      button("go to its code", () => step(0), { class: "quiet", "data-testid": "point-go" })
    );
    store.on(["model", "z", "hover", "axes", "example", "label"], () => void update());
    void update();
  }
  function fill(model, index2, name, pixels2, bound) {
    const image = imageCanvas(model.image, BOX2, `Test image ${index2 + 1}${name ? `, ${name}` : ""}`, "point-image");
    paint(image, pixels2, model.image);
    const pictures = [el("figure", {}, [image, el("figcaption", {}, ["test image"])])];
    if (bound) {
      const again = imageCanvas(model.image, BOX2, "Its reconstruction", "point-reconstruction");
      paint(again, bound.mean, model.image);
      pictures.push(el("figure", {}, [again, el("figcaption", {}, ["reconstruction"])]));
    }
    byId("point-pictures").replaceChildren(...pictures);
    const facts = [["test image", `${index2 + 1} of ${model.exampleCount}`]];
    if (name !== void 0) facts.push(["label", name]);
    if (bound) facts.push(...boundFacts(bound));
    byId("point-facts").replaceChildren(...facts.flatMap(([what, value]) => [el("dt", {}, [what]), el("dd", {}, [value])]));
    byId("point-codes").replaceChildren(...bound?.codes ? [codeGrid(model, bound.codes)] : []);
  }
  function boundFacts({ loss, rate, distortion }) {
    return [["−ELBO", `${nats(loss)} (one draw)`], ["rate", nats(rate)], ["distortion", nats(distortion)]];
  }

  // src/ui/ladder.ts
  function hasLevels({ groups, programs: programs2 }) {
    const ports = programs2.prior?.noise ?? [];
    return groups.length > 1 && ports.length === groups.length && ports.every((port, g) => size(port.shape) === groups[g]);
  }
  async function redrawn(asker, model, z, from, seed) {
    const noise = model.groups.map((width2) => new Float32Array(width2));
    for (let g = 0, start2 = 0; g < from; start2 += model.groups[g++]) {
      const mean = await asker.prior(model, noise);
      noise[g].fill(1);
      const raised = await asker.prior(model, noise);
      if (!mean || !raised) return null;
      for (let i = 0; i < noise[g].length; i++) {
        const scale = raised[start2 + i] - mean[start2 + i];
        noise[g][i] = scale > 1e-12 ? (z[start2 + i] - mean[start2 + i]) / scale : 0;
      }
    }
    for (let g = from; g < noise.length; g++) noise[g] = normal([model.groups[g]], seed + 7919 * g);
    return asker.prior(model, noise);
  }

  // src/ui/samples.ts
  var COUNT = 16;
  function mountSamples(app) {
    const { store } = app;
    let turn = 0;
    const draw = async () => {
      const model = current(app);
      const { sampleSeed, temperature, label } = store.state;
      const mine = ++turn;
      const pick = random(sampleSeed);
      const made2 = [];
      for (let i = 0; i < COUNT; i++) {
        const drawn = canRun(model, "prior") ? await app.asker.prior(model, sampleSeed * COUNT + i) : row(model.drawRows, model.latent, Math.floor(pick() * model.drawCount));
        if (mine !== turn || !drawn) return;
        const z = model.support === "real" ? warmed(model, drawn, temperature) : drawn;
        const numbers2 = await app.asker.decode(model, z, labelFor(model, label), "mean", `sample ${i}`);
        if (mine !== turn || !numbers2) return;
        const canvas = imageCanvas(model.image, 96, "", "sample");
        canvas.setAttribute("aria-hidden", "true");
        paint(canvas, numbers2, model.image);
        const go = el("button", { type: "button", class: "image", "aria-label": `Go to sample ${i + 1}` }, [canvas]);
        go.addEventListener("click", () => store.set({ z, hover: null, example: null }));
        made2.push(go);
      }
      byId("samples-grid").replaceChildren(...made2);
    };
    const tools = () => {
      const model = current(app);
      const again = button("Draw again", () => store.set({ sampleSeed: store.state.sampleSeed + 1 }), { "data-testid": "samples-again" });
      byId("sample-tools").replaceChildren(again, ...model.support === "real" ? [temperatureOf(app)] : [], ...levels(app, model));
    };
    store.on(["model", "sampleSeed", "temperature", "label"], () => void draw());
    store.on(["model"], tools);
    tools();
    void draw();
  }
  function warmed({ priorMean: priorMean2 }, z, temperature) {
    return z.map((v, d) => priorMean2[d] + temperature * (v - priorMean2[d]));
  }
  function temperatureOf({ store }) {
    const input = el("input", { type: "range", id: "temperature", min: "0", max: "1.5", step: "0.05", "data-testid": "temperature" });
    const output = el("output", { for: "temperature" });
    const show = () => void (output.textContent = fixed(Number(input.value)));
    input.value = String(store.state.temperature);
    input.addEventListener("input", () => {
      show();
      store.set({ temperature: Number(input.value) });
    });
    show();
    return el("div", { class: "slider short" }, [el("label", { for: "temperature" }, ["temperature"]), input, output]);
  }
  function levels({ store, asker }, model) {
    if (!hasLevels(model)) return [];
    const redraw = async (from) => {
      const seed = store.state.seed + 1;
      const z = await redrawn(asker, model, store.state.z, from, seed);
      if (z) store.set({ seed, z, hover: null, example: null });
    };
    const buttons = model.groups.map((width2, g) => {
      const meaning = `Draw levels ${g + 1} to ${model.groups.length} again; level ${g + 1} has ${width2} dimensions`;
      return button(`from level ${g + 1}`, () => void redraw(g), { class: "quiet", "data-testid": `level-${g + 1}`, title: meaning });
    });
    return [el("div", { class: "row", role: "group", "aria-label": "Draw z again" }, ["Draw the z of the map again, and keep the levels above:", ...buttons])];
  }

  // src/ui/side.ts
  var BOX3 = 168;
  function mountSide(app) {
    const { store, models: models2 } = app;
    const section = byId("side");
    section.hidden = models2.length < 2;
    if (models2.length < 2) return;
    let shared = models2.slice(1).some((model) => sameSpace(model, models2[0])) ? "z" : "image";
    let turn = 0;
    const update = async () => {
      const mine = ++turn;
      const cards = await Promise.all(models2.map((model) => shared === "z" ? ofZ(app, model) : ofImage(app, model)));
      if (mine !== turn) return;
      if (cards.some((card2) => card2 === null)) return;
      byId("side-cards").replaceChildren(...cards.filter((card2) => card2 !== null));
      byId("side-note").textContent = shared === "z" ? `Every model decodes the z of the map of ${current(app).name}. A z means something else to each model.` : "Every model reconstructs one image: your own if there is one, or else the test image above.";
    };
    byId("side-tools").append(
      choices("shared", "What they share", [["z", "one z"], ["image", "one image"]], shared, (value) => {
        shared = value;
        void update();
      })
    );
    store.on(["model", "z", "hover", "label", "own", "example"], () => void update());
    void update();
  }
  function card(model, chosen, parts) {
    return el("article", { class: chosen ? "card chosen" : "card", "data-testid": "side-card" }, [el("h3", {}, [model.name]), ...parts]);
  }
  function sameSpace(a, b) {
    return a.latent === b.latent && a.support === b.support;
  }
  function space({ latent, support }) {
    return { real: `${latent} numbers`, sphere: `a point of the sphere in ${latent} dimensions`, codes: "entries of a table" }[support];
  }
  async function ofZ(app, model) {
    const chosen = current(app);
    const z = shownZ(app);
    if (!sameSpace(model, chosen)) return card(model, false, [`Its z is another: ${space(model)}, not ${space(chosen)}.`]);
    const numbers2 = await app.asker.decode(model, z, labelFor(model, app.store.state.label), "mean", `side ${model.index}`);
    if (!numbers2) return null;
    const canvas = imageCanvas(model.image, BOX3, `What ${model.name} decodes from this z`, "side-image");
    paint(canvas, numbers2, model.image);
    return card(model, model === chosen, [canvas]);
  }
  async function ofImage(app, model) {
    const chosen = current(app);
    const { own, example, label } = app.store.state;
    const shape = own?.shape ?? chosen.image;
    if (String(shape) !== String(model.image)) return card(model, false, ["This model takes images of another size."]);
    if (!canRun(model, "bound")) return card(model, false, ["This page cannot encode with this model."]);
    const pixels2 = own?.pixels ?? exampleOf(chosen, example ?? 0);
    const bound = await app.asker.bound(model, pixels2, labelFor(model, label), `side ${model.index}`);
    if (!bound) return null;
    const canvas = imageCanvas(model.image, BOX3, `What ${model.name} reconstructs`, "side-image");
    paint(canvas, bound.mean, model.image);
    const facts = boundFacts(bound).flatMap(([what, value]) => [el("dt", {}, [what]), el("dd", {}, [value])]);
    return card(model, model === chosen, [canvas, el("dl", { class: "facts" }, facts)]);
  }

  // src/ui/state.ts
  function makeStore(first) {
    const state = { ...first };
    const listeners = [];
    let changed = /* @__PURE__ */ new Set();
    const tell = () => {
      const keys = changed;
      changed = /* @__PURE__ */ new Set();
      for (const { keys: watched, then } of listeners) if (watched.some((key2) => keys.has(key2))) then();
    };
    return {
      state,
      set(change) {
        if (changed.size === 0) queueMicrotask(tell);
        for (const key2 of Object.keys(change)) changed.add(key2);
        Object.assign(state, change);
      },
      on(keys, then) {
        listeners.push({ keys, then });
      }
    };
  }

  // src/page.ts
  var WRITTEN_AFTER = 250;
  async function main() {
    const { contents: contents2, engine, array } = await start();
    const models2 = loaded(contents2, array);
    const kept = read2(location.hash, models2.map((model2) => model2.latent));
    const model = models2[kept.model ?? 0];
    const pins = firstPins(model);
    const first = {
      model: model.index,
      z: codeOf(model, 0),
      hover: null,
      view: "mean",
      seed: 1,
      axes: firstAxes(model),
      label: (classOf(model, 0) ?? model.classes[0])?.label ?? 0,
      a: pins?.[0] ?? null,
      b: pins?.[1] ?? null,
      path: "straight",
      backdrop: false,
      points: true,
      units: "sd",
      temperature: 1,
      sampleSeed: 1,
      example: null,
      own: null,
      ...kept
    };
    const store = makeStore(first);
    const app = { models: models2, asker: new Asker(engine), store };
    byId("version").textContent = contents2.version;
    mountHeader(app);
    const map = mountMap(app);
    mountLive(app);
    mountPoint(app);
    mountStrip(app);
    mountSliders(app);
    mountOwn(app, map);
    mountSamples(app);
    mountSide(app);
    keepAddress(store);
    await engine.ready;
    document.documentElement.dataset["ready"] = "1";
  }
  function keepAddress(store) {
    let timer;
    store.on(["model", "z", "view", "axes", "label", "a", "b", "path", "backdrop"], () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        try {
          history.replaceState(null, "", written(store.state));
        } catch {
        }
      }, WRITTEN_AFTER);
    });
  }
  function fail(error) {
    const message = error instanceof Error ? error.message : String(error);
    byId("failure").textContent = `This page could not start: ${message}`;
    byId("failure").hidden = false;
  }
  if (!inWorker && document.getElementById("contents") !== null) main().catch(fail);
  return __toCommonJS(page_exports);
})();
