// The colours of class labels: the one place where they are decided.
//
// Two sequences of ten, one for white and one for dark paper. Each colour has a contrast of 3:1 or more with its paper,
// and any two are 0.12 or more apart in Oklab, for normal vision and for complete protanopia, deuteranopia and tritanopia
// (Machado et al. 2009). They were found by exchange search; web/test/colours.test.ts measures them.

export const ON_LIGHT: readonly string[] = [
  "#2851ff", "#eb5499", "#b09013", "#570337", "#009de3", "#880a05", "#774380", "#ac523d", "#0109ca", "#2e067c",
];

export const ON_DARK: readonly string[] = [
  "#8786ee", "#e8f518", "#f0569d", "#2c7515", "#8cfdf6", "#b99120", "#9511f3", "#f4ad91", "#bb169a", "#b2b6fe",
];

export const LIGHT_PAPER = "#ffffff";
export const DARK_PAPER = "#161b22";

// The colour of class number `index` of `count`. More than ten classes have even steps of hue: names tell them apart.
export function classColour(index: number, count: number, dark: boolean): string {
  const few = dark ? ON_DARK : ON_LIGHT;
  if (count <= few.length) return few[index];
  const lightness = (dark ? 68 : 38) + 8 * (index % 3);
  return `hsl(${Math.round((360 * index) / count)} 65% ${lightness}%)`;
}
