// Images that are dropped, pasted or chosen.

import { isAnimated, type Rgba } from "./picture";

export interface Opened {
  picture: Rgba;
  notes: string[]; // what a visitor should know of it
}

export class NotAnImage extends Error {}

const LONG = 2048; // a larger picture is first made smaller, so that its numbers fit
const BYTES = 200 * 1024 * 1024;

// Reads an image of any format that the browser knows. Throws NotAnImage with one sentence.
export async function open(file: Blob): Promise<Opened> {
  const name = file instanceof File && file.name ? `“${file.name.slice(0, 60)}”` : "What you gave";
  if (file.size > BYTES) throw new NotAnImage(`${name} has more than 200 MB. Make it smaller first.`);
  if (file.size === 0) throw new NotAnImage(`${name} is empty.`);
  let bitmap: ImageBitmap;
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
  const pen = canvas.getContext("2d")!;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const full = [bitmap.width, bitmap.height] as const;
  bitmap.close();
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  return { picture: { width: canvas.width, height: canvas.height, data, full }, notes };
}

// The first image of a drop or a paste; null if there is no file in it.
export function fileOf(data: DataTransfer | null): File | null {
  const files = [...(data?.files ?? [])];
  return files.find((file) => file.type.startsWith("image/")) ?? files[0] ?? null;
}
