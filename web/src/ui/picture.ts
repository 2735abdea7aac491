// From a picture of any size to the numbers that a model takes.

export interface Rgba {
  width: number;
  height: number;
  data: Uint8ClampedArray; // not premultiplied
  full?: readonly [width: number, height: number]; // of the picture that this is a smaller copy of
}

export interface Wanted {
  image: readonly [channels: number, height: number, width: number];
  binary: boolean;
  paper: "black" | "white"; // behind transparent parts and beside a picture of another shape
  swapped: boolean; // light becomes dark
}

export interface Converted {
  pixels: Float32Array; // [C, H, W], 0 to 1
  steps: string[]; // what was done, in words
}

export function converted(from: Rgba, { image, binary, paper, swapped }: Wanted): Converted {
  const [channels, height, width] = image;
  const factor = Math.min(width / from.width, height / from.height);
  const [w, h] = [Math.max(1, Math.round(from.width * factor)), Math.max(1, Math.round(from.height * factor))];
  const transparent = hasTransparency(from);
  const behind = paper === "white" ? 1 : 0;
  const small = scaled(flattened(from, behind), from.width, from.height, w, h);
  const colourful = channels === 1 && isColourful(small);
  const pixels = new Float32Array(channels * height * width).fill(behind);
  const [left, top] = [Math.floor((width - w) / 2), Math.floor((height - h) / 2)];
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const at = 3 * (y * w + x);
      const rgb = [small[at], small[at + 1], small[at + 2]];
      const levels = channels === 1 ? [0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]] : rgb;
      levels.slice(0, channels).forEach((v, c) => (pixels[(c * height + top + y) * width + left + x] = v));
    }
  }
  const steps: string[] = [];
  if (transparent) steps.push(`transparent parts on ${paper}`);
  if (from.width !== w || from.height !== h) {
    steps.push(`${(from.full ?? [from.width, from.height]).join(" × ")} pixels scaled to ${w} × ${h}`);
  }
  if (w !== width || h !== height) steps.push(`centred on ${paper} in ${width} × ${height}`);
  if (colourful) steps.push("colours to grey");
  if (swapped) {
    pixels.forEach((v, i) => (pixels[i] = 1 - v));
    steps.push("light and dark swapped");
  }
  if (binary) {
    pixels.forEach((v, i) => (pixels[i] = v >= 0.5 ? 1 : 0));
    steps.push("each pixel to 0 or 1, at one half");
  }
  return { pixels, steps };
}

export function hasTransparency({ data }: Rgba): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return true;
  return false;
}

// Rows of red, green, blue, 0 to 1, on paper of the given level.
export function flattened({ data }: Rgba, behind: number): Float32Array {
  const made = new Float32Array((data.length / 4) * 3);
  for (let i = 0, j = 0; i < data.length; i += 4, j += 3) {
    const alpha = data[i + 3] / 255;
    for (let c = 0; c < 3; c++) made[j + c] = (data[i + c] / 255) * alpha + behind * (1 - alpha);
  }
  return made;
}

function isColourful(rgb: Float32Array): boolean {
  for (let i = 0; i < rgb.length; i += 3) {
    if (Math.abs(rgb[i] - rgb[i + 1]) + Math.abs(rgb[i + 1] - rgb[i + 2]) > 0.04) return true;
  }
  return false;
}

// Each new pixel is the mean over its area of the old ones: nothing aliases, and flat areas keep their level.
export function scaled(rgb: Float32Array, width: number, height: number, w: number, h: number): Float32Array {
  if (width === w && height === h) return rgb;
  const rows = resampled(rgb, height, width, w, (line, i) => 3 * (line * width + i), (line, i) => 3 * (line * w + i));
  return resampled(rows, w, height, h, (line, i) => 3 * (i * w + line), (line, i) => 3 * (i * w + line));
}

type Place = (line: number, i: number) => number;

function resampled(from: Float32Array, lines: number, old: number, made: number, at: Place, to: Place): Float32Array {
  const out = new Float32Array(3 * lines * made);
  for (let i = 0; i < made; i++) {
    const [start, end] = [(i * old) / made, ((i + 1) * old) / made];
    for (let k = Math.floor(start); k < Math.min(old, Math.ceil(end)); k++) {
      const weight = (Math.min(end, k + 1) - Math.max(start, k)) / (end - start);
      for (let line = 0; line < lines; line++) {
        for (let c = 0; c < 3; c++) out[to(line, i) + c] += weight * from[at(line, k) + c];
      }
    }
  }
  return out;
}

// Whether a file has more than one frame, from its bytes: GIF, PNG and WebP.
export function isAnimated(bytes: Uint8Array): boolean {
  const text = (start: number, length: number): string => String.fromCharCode(...bytes.subarray(start, start + length));
  if (text(0, 3) === "GIF") {
    let frames = 0; // graphic control extensions
    for (let i = 0; i + 3 < bytes.length; i++) {
      if (bytes[i] === 0x21 && bytes[i + 1] === 0xf9 && bytes[i + 2] === 4 && bytes[i + 7] === 0) frames++;
    }
    return frames > 1;
  }
  if (text(1, 3) === "PNG") return text(0, Math.min(bytes.length, 4096)).includes("acTL");
  return text(0, 4) === "RIFF" && text(8, 4) === "WEBP" && text(0, Math.min(bytes.length, 256)).includes("ANIM");
}
