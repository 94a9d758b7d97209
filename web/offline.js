/**
 * Keeps a copy of the page for use without a network.
 *
 * The network comes first, so that a new version of the page is used at once.
 */

const NAME = "labels-of-faces";
const FILES = [
  "./",
  "detect.js",
  "icon.svg",
  "marks.js",
  "page.js",
  "pixels.js",
  "predict.js",
  "style.css",
  "tracks.js",
  "vendor/ort-wasm-simd-threaded.wasm",
  "vendor/ort.wasm.bundle.min.mjs",
  "weights/MODEL_CARD.md",
  "weights/face_detection_yunet_2026may.onnx",
  "weights/four_tasks.json",
  "weights/four_tasks.onnx",
  "worker.js",
];

self.oninstall = (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(FILES)));
};

self.onactivate = (event) => event.waitUntil(self.clients.claim());

self.onfetch = (event) => event.respondWith(answer(event.request));

async function answer(request) {
  const cache = await caches.open(NAME);
  try {
    const found = await fetch(request);
    if (found.ok) await cache.put(request, found.clone());
    return found;
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
}
