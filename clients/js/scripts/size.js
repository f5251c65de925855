// Fails when the SDK, minified and gzipped with everything but MessagePack, is larger than it may be.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MAX_BYTES = 10_240;

const built = await build({
  entryPoints: [new URL("../src/index.js", import.meta.url).pathname],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const minified = built.outputFiles[0].contents;
const gzipped = gzipSync(minified, { level: 9 }).length;
console.log(JSON.stringify({ minified: minified.length, gzipped, limit: MAX_BYTES }));
if (gzipped > MAX_BYTES) process.exitCode = 1;
