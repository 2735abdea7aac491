// Bundles the page: TypeScript, and the kernels as bytes in base64.
import { build } from "esbuild";
import { readFile } from "node:fs/promises";
import wabt from "wabt";

const kernels = {
  name: "kernels",
  setup(bundle) {
    bundle.onLoad({ filter: /\.wat$/ }, async ({ path }) => {
      const parsed = (await wabt()).parseWat(path, await readFile(path, "utf8"), { simd: true });
      const { buffer } = parsed.toBinary({ write_debug_names: false });
      return { contents: Buffer.from(buffer).toString("base64"), loader: "text" };
    });
  },
};

export const options = (entry, out, globalName) => ({
  entryPoints: [entry],
  outfile: out,
  bundle: true,
  format: "iife",
  globalName,
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  plugins: [kernels],
});

if (import.meta.url === `file://${process.argv[1]}`) {
  const [folder = "../vaelab/explorer"] = process.argv.slice(2);
  await build(options("src/page.ts", `${folder}/page.js`, "vaelab"));
  await build(options("src/opener.ts", `${folder}/opener.js`));
}
