// Elements of the page.

export type Child = Node | string;

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element "${id}"`);
  return found as T;
}

// Makes an element. Text is always text: names of runs and classes are never read as HTML.
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  children: readonly Child[] = [],
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function button(text: string, then: () => void, attributes: Record<string, string> = {}): HTMLButtonElement {
  const made = el("button", { type: "button", ...attributes }, [text]);
  made.addEventListener("click", then);
  return made;
}

// A row of choices of which one holds: radio buttons that look like one switch.
export function choices<T extends string>(
  name: string,
  legend: string,
  options: readonly (readonly [value: T, text: string])[],
  chosen: T,
  then: (value: T) => void,
): HTMLFieldSetElement {
  const field = el("fieldset", { class: "switch", "data-testid": name }, [el("legend", {}, [legend])]);
  for (const [value, text] of options) {
    const input = el("input", { type: "radio", name, value });
    input.checked = value === chosen;
    input.addEventListener("change", () => then(value));
    field.append(el("label", {}, [input, el("span", {}, [text])]));
  }
  return field;
}

export function checkbox(text: string, checked: boolean, then: (on: boolean) => void, testid: string): HTMLLabelElement {
  const input = el("input", { type: "checkbox", "data-testid": testid });
  input.checked = checked;
  input.addEventListener("change", () => then(input.checked));
  return el("label", { class: "check" }, [input, text]);
}

export function select(
  text: string,
  options: readonly (readonly [value: string, text: string])[],
  chosen: string,
  then: (value: string) => void,
  testid: string,
): HTMLLabelElement {
  const field = el("select", { "data-testid": testid });
  for (const [value, shown] of options) field.append(el("option", { value }, [shown]));
  field.value = chosen;
  field.addEventListener("change", () => then(field.value));
  return el("label", { class: "pick" }, [el("span", {}, [text]), field]);
}

// "−1.20": a number with a real minus sign.
export function fixed(value: number, digits = 2): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

export function nats(value: number): string {
  return `${fixed(value, Math.abs(value) >= 10000 ? 0 : Math.abs(value) >= 10 ? 1 : 2)} nats`;
}

export function shortened(text: string, length: number): string {
  return text.length > length ? text.slice(0, length - 1) + "…" : text;
}
