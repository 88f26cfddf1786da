// Drives the page in Chromium as a visitor would: a picture, a video, a camera, files out, both themes, a phone's width.
//   npm run browser -- SITE MEDIA [SHOTS] [--minutes 10]
// SITE: what `mien export --web` wrote. MEDIA: astronaut.png, clip.mp4 or clip.webm, camera.mjpeg (scripts/make_web_media.py).
// CHROMIUM names the browser (/usr/bin/chromium).
import assert from "node:assert/strict";
import { createReadStream, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import { chromium } from "playwright-core";

const words = process.argv.slice(2);
const minutes = words.includes("--minutes") ? Number(words.splice(words.indexOf("--minutes"), 2)[1]) : 0;
const [site, media, shots = "shots"] = words.map((word) => resolve(word));
mkdirSync(shots, { recursive: true });

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".svg": "image/svg+xml" };
const server = createServer((request, answer) => {
  const path = join(site, normalize(new URL(request.url, "http://x").pathname).replace(/\/$/, "/index.html"));
  if (!path.startsWith(site) || !existsSync(path)) return void answer.writeHead(404).end();
  answer.writeHead(200, {
    "content-type": TYPES[extname(path)] ?? "application/octet-stream",
    "content-length": statSync(path).size,
  });
  createReadStream(path).pipe(answer);
}).listen(0, "127.0.0.1");
await new Promise((done) => server.once("listening", done));
const home = `http://127.0.0.1:${server.address().port}/`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${join(media, "camera.mjpeg")}`,
    "--enable-precise-memory-info",
  ],
});

/** A visitor with a page of their own; what the page says and whom it asks is kept. */
async function visit(options) {
  const context = await browser.newContext({ permissions: ["camera"], acceptDownloads: true, ...options });
  const page = await context.newPage();
  const [said, asked] = [[], []];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  context.on("request", (request) => asked.push({ url: request.url(), method: request.method() }));
  await page.goto(home);
  await page.waitForFunction(() => document.body.dataset.ready, null, { timeout: 60_000 });
  return { context, page, said, asked };
}

const file = (name) => join(media, name);
const clip = existsSync(file("clip.webm")) ? "clip.webm" : "clip.mp4";

async function picture({ page }) {
  await page.setInputFiles("#file", file("astronaut.png"));
  await page.waitForSelector("#people li");
  await page.waitForFunction(() => document.getElementById("status").textContent === "1 face");
  assert.equal(await page.textContent("#people .what"), "happiness");
}

async function video({ page }) {
  await page.setInputFiles("#file", file(clip));
  await page.waitForFunction(() => document.body.dataset.ended, null, { timeout: 120_000 });
  const frames = Number(await page.evaluate(() => document.body.dataset.frames));
  assert.ok(frames >= 5, `${frames} frames read`);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save-csv")]);
  const table = readFileSync(await download.path(), "utf8").trim().split("\n");
  const [head, first] = [table[0].split(","), table[1].split(",")];
  assert.equal(head.slice(0, 5).join(), "source,frame,time_s,face,track");
  assert.equal(first[0], clip);
  assert.equal(first.length, head.length);
  const sum = head.reduce((total, name, i) => total + (name.startsWith("p_") ? Number(first[i]) : 0), 0);
  assert.ok(Math.abs(sum - 1) < 0.001, `scores sum to ${sum}`);
  const times = table.slice(1).map((line) => Number(line.split(",")[2]));
  assert.ok(times.every((t, i) => i === 0 || t >= times[i - 1]), "times rise");
  return { frames, rows: table.length - 1, events: await page.locator("#events tr").count() };
}

async function camera({ page }) {
  await page.click("#camera");
  await page.waitForFunction(() => Number(document.body.dataset.frames) > 20, null, { timeout: 60_000 });
  assert.equal(await page.locator("#people li").count(), 1);
  const rate = Number(await page.evaluate(() => document.body.dataset.rate));
  await page.click("#pause");
  const held = await page.evaluate(() => document.body.dataset.frames);
  await page.waitForTimeout(500);
  const after = await page.evaluate(() => document.body.dataset.frames);
  assert.ok(Number(after) - Number(held) <= 1, "a pause stops the reading");
  await page.click("#pause");
  return rate;
}

/** Megabytes of the page and its worker, after a collection. */
async function megabytes(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.enable").then(() => session.send("Performance.getMetrics"));
  await session.detach();
  return metrics.find((metric) => metric.name === "JSHeapUsedSize").value / 1e6;
}

function clean(visitor, name) {
  assert.deepEqual(visitor.said, [], `${name}: the console is silent`);
  const foreign = visitor.asked.filter(({ url, method }) => method !== "GET" || !(url.startsWith(home) || url.startsWith("blob:")));
  assert.deepEqual(foreign, [], `${name}: nothing is asked of others, nothing is sent`);
}

const report = {};
try {
  for (const colorScheme of ["light", "dark"]) {
    const visitor = await visit({ colorScheme, viewport: { width: 1280, height: 900 } });
    await visitor.page.screenshot({ path: join(shots, `empty-${colorScheme}.png`), fullPage: true });
    await picture(visitor);
    await visitor.page.screenshot({ path: join(shots, `picture-${colorScheme}.png`), fullPage: true });
    report[`video-${colorScheme}`] = await video(visitor);
    await visitor.page.screenshot({ path: join(shots, `video-${colorScheme}.png`), fullPage: true });
    clean(visitor, colorScheme);
    await visitor.context.close();
  }

  const phone = await visit({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: "light" });
  await picture(phone);
  const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `the page is ${wide} px wide on a phone`);
  await phone.page.screenshot({ path: join(shots, "phone.png"), fullPage: true });
  clean(phone, "phone");
  await phone.context.close();

  const live = await visit({ viewport: { width: 1280, height: 900 } });
  report.camera_frames_per_second = await camera(live);
  await live.page.screenshot({ path: join(shots, "camera.png"), fullPage: true });
  await live.page.selectOption("#model", "mien-m");
  await live.page.waitForFunction(() => document.body.dataset.ready === "mien-m", null, { timeout: 60_000 });
  await live.page.selectOption("#model", "mien-s");
  await live.page.waitForFunction(() => document.body.dataset.ready === "mien-s");
  if (minutes) {
    report.memory_mb = [];
    for (let i = 0; i <= 10; i++) {
      report.memory_mb.push(Number((await megabytes(live.page)).toFixed(1)));
      if (i < 10) await live.page.waitForTimeout((minutes * 60_000) / 10);
    }
    report.frames = Number(await live.page.evaluate(() => document.body.dataset.frames));
  }
  clean(live, "camera");
  await live.context.close();

  // the policy itself: a request to elsewhere is refused by the browser, whoever makes it
  const tried = await visit({});
  const refused = await tried.page.evaluate(() => fetch("https://example.org/").then(() => false, () => true));
  assert.ok(refused, "the policy forbids requests to elsewhere");
  assert.ok(tried.said.some((line) => line.includes("Content Security Policy")), "it was the policy that refused");
  // keyboard: every control can be reached, in the order of the page
  await tried.page.evaluate(() => document.activeElement?.blur());
  const order = [];
  for (let i = 0; i < 6; i++) {
    await tried.page.keyboard.press("Tab");
    order.push(await tried.page.evaluate(() => document.activeElement?.id || document.activeElement?.className));
  }
  assert.deepEqual(order.slice(0, 4), ["skip", "camera", "file", "model"]);
  // every control has a name for a screen reader
  const unnamed = await tried.page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, progress")]
      .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length)).map((e) => e.id));
  assert.deepEqual(unnamed, []);
  await tried.context.close();
  console.log(JSON.stringify(report, null, 1));
} finally {
  await browser.close();
  server.close();
}
