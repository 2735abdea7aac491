// A canvas to draw on: pen, eraser, clear.

import { byId, button, choices, el } from "./dom";
import { type Rgba } from "./picture";
import { type Shape } from "./paint";

export type Paper = "black" | "white";

export interface Drawing {
  clear(paper: Paper): void;
}

const LONG = 280; // CSS pixels of the longer side

// Calls `then` after every stroke, and while one is drawn.
export function mountPen(shape: Shape, paper: Paper, then: (drawn: Rgba) => void): Drawing {
  const canvas = byId<HTMLCanvasElement>("pad");
  const [channels, height, width] = shape;
  const factor = LONG / Math.max(width, height);
  [canvas.width, canvas.height] = [Math.round(width * factor), Math.round(height * factor)];
  const pen = canvas.getContext("2d", { willReadFrequently: true })!;
  let behind = paper;
  let erasing = false;
  let last: [number, number] | null = null;
  const ink = el("input", { type: "color", "aria-label": "Colour of the pen", value: "#e07a3f" });
  const thickness = el("input", { type: "range", min: "1", max: "40", value: "20", id: "pen-width", "data-testid": "pen-width" });

  const read = (): void => {
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    then({ width: canvas.width, height: canvas.height, data });
  };
  const fill = (): void => {
    pen.fillStyle = behind;
    pen.fillRect(0, 0, canvas.width, canvas.height);
  };
  const at = (event: PointerEvent): [number, number] => [
    (event.offsetX * canvas.width) / canvas.clientWidth,
    (event.offsetY * canvas.height) / canvas.clientHeight,
  ];
  const line = (to: [number, number]): void => {
    const front = channels > 1 ? ink.value : behind === "black" ? "white" : "black";
    pen.strokeStyle = erasing ? behind : front;
    pen.lineWidth = Number(thickness.value) * (erasing ? 1.5 : 1);
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...(last ?? to));
    pen.lineTo(...to);
    pen.stroke();
    last = to;
  };
  canvas.onpointerdown = (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = null;
    line(at(event));
    read();
  };
  canvas.onpointermove = (event) => {
    if (last === null) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) line(at(each));
    read();
  };
  canvas.onpointerup = canvas.onpointercancel = () => (last = null);

  fill();
  byId("pen-tools").replaceChildren(
    choices("tool", "Tool", [["pen", "pen"], ["eraser", "eraser"]], "pen", (tool) => (erasing = tool === "eraser")),
    ...(channels > 1 ? [ink] : []),
    el("label", { for: "pen-width", class: "thickness" }, ["width", thickness]),
    button("clear", () => (fill(), read()), { class: "quiet", "data-testid": "pen-clear" }),
  );
  return {
    clear(next) {
      behind = next;
      fill();
    },
  };
}
