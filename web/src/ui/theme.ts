// Colours of canvases: the same custom properties as the style sheet's.

export interface Theme {
  dark: boolean;
  paper: string;
  ink: string;
  muted: string;
  accent: string;
  density: string;
  hatch: string;
}

export function theme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "ink", "muted", "accent", "density", "hatch"] as const;
  const [paper, ink, muted, accent, density, hatch] = names.map(read);
  return { dark: read("dark") === "1", paper, ink, muted, accent, density, hatch };
}

// Calls `then` when light and dark change, and around printing, which is on white paper.
export function onTheme(then: () => void): void {
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
