import { createHash } from "node:crypto";
import { createReadStream, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { defineConfig, type Plugin } from "vite";

const WEIGHTS = resolve(__dirname, "../src/mien/weights");
const NAMES = ["blazeface", "landmarks68", "mien-s", "mien-m"];

/** Weights stand in the Python package once; the page reads them from `models/` beside itself. */
function weights(): Plugin {
  return {
    name: "weights",
    configureServer(server) {
      server.middlewares.use("/models", (request, answer, next) => {
        const name = (request.url ?? "").replace(/^\/|\.onnx.*$/g, "");
        if (!NAMES.includes(name)) return next();
        createReadStream(resolve(WEIGHTS, `${name}.onnx`)).pipe(answer);
      });
    },
  };
}

/** What the page was built from, so that a test can tell a stale page: `name  sha256` of every source file. */
function sources(): Plugin {
  const files = ["index.html", "package-lock.json", "vite.config.ts", ...inFolder("src"), ...inFolder("public")].sort();
  return {
    name: "sources",
    writeBundle(options) {
      const lines = files.map((name) => {
        const text = readFileSync(resolve(__dirname, name));
        return `${name}  ${createHash("sha256").update(text).digest("hex")}\n`;
      });
      writeFileSync(resolve(options.dir ?? "dist", "sources.txt"), lines.join(""));
    },
  };
}

function inFolder(folder: string): string[] {
  return readdirSync(resolve(__dirname, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath.slice(__dirname.length + 1)}/${entry.name}`);
}

const PLAIN = {
  entryFileNames: "assets/[name].js",
  chunkFileNames: "assets/[name].js",
  assetFileNames: "assets/[name][extname]",
};
const python = readFileSync(resolve(__dirname, "../src/mien/__init__.py"), "utf8");
const version = /__version__ = "([^"]+)"/.exec(python)?.[1] ?? "unknown";

export default defineConfig({
  base: "./",
  define: { __MIEN_VERSION__: JSON.stringify(version) },
  plugins: [weights(), sources()],
  worker: { format: "es", rollupOptions: { output: PLAIN } },
  build: {
    outDir: "../src/mien/server/page",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy wants files, not data: addresses
    target: "es2022",
    modulePreload: { polyfill: false },
    // plain names: the built page stands in the package, and a change of a line should not rename a file
    rollupOptions: { output: PLAIN },
  },
});
