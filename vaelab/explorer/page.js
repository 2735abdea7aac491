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
      for (let key of __getOwnPropNames(from))
        if (!__hasOwnProp.call(to, key) && key !== except)
          __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
    }
    return to;
  };
  var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

  // src/bare.ts
  var bare_exports = {};
  __export(bare_exports, {
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
  function eachRow(shape, views, row) {
    const last = shape.length - 1;
    const starts = views.map((view) => view.offset);
    if (last < 1) {
      row(0, starts);
      return;
    }
    const index2 = new Array(last).fill(0);
    const width2 = shape[last];
    const rows = size(shape.slice(0, last));
    for (let count = 0, start2 = 0; count < rows; count++, start2 += width2) {
      row(start2, starts);
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
    const share = () => (next() >>> 8) * 2 ** -24;
    return Float32Array.from({ length: size(shape) }, () => {
      return Math.sqrt(-2 * Math.log(1 - share())) * Math.cos(2 * Math.PI * share());
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
  function loop1(make) {
    return (out, shape, views, settings) => {
      const f = make(settings);
      const [x] = views;
      const [n, dx] = [width(shape), stride(x)];
      eachRow(shape, views, (start2, [from]) => {
        for (let i = 0; i < n; i++) out[start2 + i] = f(x.data[from + i * dx]);
      });
    };
  }
  function loop2(make) {
    return (out, shape, views, settings) => {
      const f = make(settings);
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
  function each(table2, make) {
    return Object.fromEntries(Object.entries(table2).map(([name, of]) => [name, make(of)]));
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
    for (let plane = 0, row = 0; plane < n * channels; plane++) {
      for (let i = 0; i < kh; i++) {
        const down = i * dilation[0] - padding[0];
        for (let j = 0; j < kw; j++, row++) {
          const right = j * dilation[1] - padding[1];
          const first = Math.max(0, Math.ceil(-right / step));
          const end = Math.min(width2, Math.ceil((columns2 - right) / step));
          if (end <= first) continue;
          for (let y = 0; y < height; y++) {
            const from = y * stride2[0] + down;
            if (from < 0 || from >= rows) continue;
            const pixel = (plane * rows + from) * columns2 + first * step + right;
            visit(row, y * width2 + first, end - first, step, pixel);
          }
        }
      }
    }
  }
  function columns(out, shape, [x], settings) {
    const places = shape[shape.length - 1];
    const { data } = x;
    eachRun(settings, (row, place2, count, step, from) => {
      const to = row * places + place2;
      for (let i = 0; i < count; i++) out[to + i] = data[from + i * step];
    });
  }
  function overlapped(out, _, [x], settings) {
    const { data } = x;
    const places = settings.output[0] * settings.output[1];
    out.fill(0);
    eachRun(settings, (row, place2, count, step, to) => {
      const from = row * places + place2;
      for (let i = 0; i < count; i++) out[to + i * step] += data[from + i];
    });
  }

  // src/operations.ts
  function reduction(reduce) {
    return (out, shape, [x], { over }) => {
      const row = new Float64Array(size(over));
      const kept = shape.length;
      const inner = { data: x.data, strides: x.strides.slice(kept), offset: 0 };
      const outer = { data: x.data, strides: x.strides.slice(0, kept), offset: x.offset };
      eachRow([...shape, 1], [{ ...outer, strides: [...outer.strides, 0] }], (start2, [from]) => {
        inner.offset = from;
        out[start2] = reduce(gathered(inner, over, row));
      });
    };
  }
  function best(better) {
    return (row) => {
      let at = 0;
      for (let i = 1; i < row.length; i++) if (better(row[i], row[at])) at = i;
      return at;
    };
  }
  function total(row) {
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += row[i];
    return sum;
  }
  function folded(start2, f) {
    return (row) => {
      let so_far = start2;
      for (let i = 0; i < row.length; i++) so_far = f(so_far, row[i]);
      return so_far;
    };
  }
  function rowwise(change) {
    return (out, shape, [x]) => {
      const last = shape.length - 1;
      const [n, dx] = [shape[last], x.strides[last]];
      const row = new Float64Array(n);
      eachRow(shape, [x], (start2, [from]) => {
        for (let i = 0; i < n; i++) row[i] = x.data[from + i * dx];
        change(row);
        out.set(row, start2);
      });
    };
  }
  function largest(row) {
    let found = -Infinity;
    for (let i = 0; i < row.length; i++) if (row[i] > found) found = row[i];
    return found;
  }
  function softmax(row) {
    const top = largest(row);
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += row[i] = Math.exp(row[i] - top);
    for (let i = 0; i < row.length; i++) row[i] /= sum;
  }
  function logSoftmax(row) {
    const top = largest(row);
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += Math.exp(row[i] - top);
    const constant = top + Math.log(sum);
    for (let i = 0; i < row.length; i++) row[i] -= constant;
  }
  function cumulative(f) {
    return (row) => {
      for (let i = 1; i < row.length; i++) row[i] = f(row[i - 1], row[i]);
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
    const { fill, places, sizes } = settings;
    if (fill !== 0) out.fill(fill);
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
  function solve(out, shape, [a, b], { upper, unit }) {
    const last = shape.length - 1;
    const [n, k] = [shape[last - 1], shape[last]];
    const [ai, aj] = [a.strides[last - 1], a.strides[last]];
    const [bi, bj] = [b.strides[last - 1], b.strides[last]];
    const outer = (view) => ({ ...view, strides: [...view.strides.slice(0, last - 1), 0] });
    eachRow([...shape.slice(0, last - 1), 1], [outer(a), outer(b)], (batch, [at, from]) => {
      for (let column = 0; column < k; column++) {
        for (let step = 0; step < n; step++) {
          const i = upper ? n - 1 - step : step;
          let sum = b.data[from + i * bi + column * bj];
          for (let s = 0; s < step; s++) {
            const j = upper ? n - 1 - s : s;
            sum -= a.data[at + i * ai + j * aj] * out[batch * n * k + j * k + column];
          }
          out[batch * n * k + i * k + column] = unit ? sum : sum / a.data[at + i * ai + i * aj];
        }
      }
    });
  }
  var OPERATIONS = {
    ...ELEMENTWISE,
    sum: reduction(total),
    mean: reduction((row) => total(row) / row.length),
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
      const bytes2 = [...shared.map(({ dtype, length }) => [dtype, length]), ...own.map(([, ...rest]) => rest)].map(([dtype, length]) => bytesOf(dtype, length)).reduce((total2, each2) => total2 + each2, 0);
      const heap = new Heap(bytes2);
      const arrays = /* @__PURE__ */ new Map();
      used.forEach((array, i) => {
        const made = heap.array(shared[i].dtype, shared[i].length);
        shared[i].write(made);
        arrays.set(array, made);
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
      const key = wanted.join();
      const known = this.plans.get(key);
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
      this.plans.set(key, plan);
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
    const own = document.getElementById("program").textContent;
    const worker = new Worker(URL.createObjectURL(new Blob([own], { type: "text/javascript" })));
    worker.postMessage({ contents: contents2, bytes: buffer }, [buffer]);
    return { contents: contents2, engine: engineOf(worker), array: (packed) => unpacked(packed, bytes2) };
  }
  function text(id) {
    return document.getElementById(id).textContent;
  }
  function engineOf(worker) {
    const queue = [];
    let running;
    function next() {
      if (running !== void 0) return;
      running = queue.shift();
      if (running !== void 0) worker.postMessage({ number: 0, call: running.call });
    }
    worker.onmessage = ({ data }) => {
      const done = running;
      running = void 0;
      if (data.error === void 0) done.resolve(data.answer);
      else done.reject(new Error(data.error));
      next();
    };
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

  // src/bare.ts
  if (!inWorker && document.getElementById("contents")) start().then((started) => window.explorer = started);
  return __toCommonJS(bare_exports);
})();
