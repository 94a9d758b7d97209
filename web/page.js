/**
 * The page: photos and the camera in, boxes, labels and bars out.
 *
 * The worker finds and labels the faces, marks.js draws boxes and arrows.
 */

import {COLOURS, marks} from "./marks.js";
import {Tracks} from "./tracks.js";

const LEAST = 0.5; // probability below which a class is marked as unsure
const byId = (id) => document.getElementById(id);
const status = byId("status");
const worker = new Worker("worker.js", {type: "module"});
const waiting = new Map();
let asked = 0;

worker.onmessage = ({data}) => {
  waiting.get(data.id)(data);
  waiting.delete(data.id);
};
worker.onerror = () => {
  status.textContent =
    "The network cannot be loaded: vendor/ lacks onnxruntime-web. " +
    "“python -m samtl.web --fetch” gets it; then load this page again.";
};

/** Faces of a File or ImageBitmap: the message of worker.js. */
function ask(source, isVideo) {
  const transfer = source instanceof ImageBitmap ? [source] : [];
  return new Promise((resolve) => {
    waiting.set(++asked, resolve);
    worker.postMessage({id: asked, source, isVideo}, transfer);
  });
}

/** The element of a template in index.html. */
function made(template) {
  return byId(template).content.cloneNode(true);
}

// Photos

byId("files").onchange = ({target}) => {
  label([...target.files]);
  target.value = ""; // so that the same photo can be chosen again
};
document.ondragover = (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
};
document.ondragleave = ({relatedTarget}) => {
  if (!relatedTarget) byId("drop").classList.remove("over");
};
document.ondrop = (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  label([...event.dataTransfer.files]);
};

/** Add a result for each file, and fill them one after the other. */
async function label(files) {
  const articles = files.map((file) => {
    const image = new Image();
    image.alt = file.name;
    image.src = URL.createObjectURL(file);
    const article = picture(file.name, image);
    article.ariaBusy = "true";
    article.querySelector(".count").textContent = "is being searched …";
    article.querySelector(".remove").onclick = () => {
      URL.revokeObjectURL(image.src);
      article.remove();
      byId("files").focus();
    };
    return article;
  });
  byId("photos").prepend(...articles);
  for (const [i, file] of files.entries()) {
    const found = await ask(file, false);
    articles[i].ariaBusy = null;
    if (found.error) {
      const cause = "This browser cannot read it; convert it to JPEG or PNG.";
      articles[i].querySelector(".count").textContent = "";
      articles[i].querySelector(".found").textContent = cause;
      console.warn(`${file.name}: ${found.error}`);
      status.textContent = `${file.name}: ${cause}`;
      continue;
    }
    found.faces.forEach((face, k) => (face.number = k + 1));
    show(articles[i], found);
    status.textContent = `${file.name}: ${summary(found.faces)}`;
  }
}

/** A new article with an image or video. */
function picture(name, medium) {
  const article = made("picture").firstElementChild;
  article.querySelector("h2").textContent = name;
  article.querySelector("figure").append(medium);
  return article;
}

/** "2 faces. Face 1: happy 93 %, ..." */
function summary(faces) {
  const words = faces.map(({number, labels}) => {
    const best = Object.values(labels).map(bestClass);
    const named = best.map(([name, share]) => `${name} ${percent(share)}`);
    return ` Face ${number}: ${named.join(", ")}.`;
  });
  return `${count(faces)}.${words.join("")}`;
}

function count(faces) {
  const names = {0: "no face found", 1: "1 face"};
  return names[faces.length] ?? `${faces.length} faces`;
}

// Results

/** Fill an article with the marks and labels of the found faces. */
function show(article, {width, height, faces}) {
  const figure = article.querySelector("figure");
  figure.querySelector("svg")?.remove();
  figure.append(marks(width, height, faces));
  article.querySelector(".count").textContent = count(faces);
  const list = article.querySelector(".faces");
  // Elements of known faces stay, so that open ones stay open.
  const known = new Map([...list.children].map((e) => [e.dataset.face, e]));
  list.replaceChildren(
    ...faces.map((face) => {
      const element = known.get(String(face.number)) ?? card(face);
      fill(element, face);
      return element;
    }),
  );
}

/** An element for the labels of a face. */
function card({number, labels}) {
  const element = made("face").firstElementChild;
  element.dataset.face = number;
  const colour = COLOURS[(number - 1) % COLOURS.length];
  element.style.setProperty("--colour", colour);
  element.querySelector("h3").textContent = `Face ${number}`;
  for (const [task, shares] of Object.entries(labels)) {
    const details = made("task").firstElementChild;
    details.dataset.task = task;
    details.querySelector("summary").append(made("row"));
    for (const _ of Object.keys(shares)) {
      const item = document.createElement("li");
      item.append(made("row"));
      details.querySelector("ul").append(item);
    }
    element.append(details);
  }
  return element;
}

/** Write the labels of a face into its element. */
function fill(element, {labels, years}) {
  for (const details of element.querySelectorAll("details")) {
    const {task} = details.dataset;
    const [name, share] = bestClass(labels[task]);
    const row = details.querySelector("summary");
    const isUnsure = share < LEAST;
    row.classList.toggle("unsure", isUnsure);
    row.querySelector(".task").textContent = task;
    write(row, isUnsure ? `${name}?` : name, share);
    if (task === "age" && years !== undefined) {
      row.querySelector(".label").append(` (about ${Math.round(years)} years)`);
    }
    const items = details.querySelectorAll("li");
    Object.entries(labels[task]).forEach(([name, share], i) =>
      write(items[i], name, share),
    );
  }
}

function write(row, name, share) {
  row.querySelector(".label").textContent = name;
  const data = row.querySelector("data");
  data.value = share;
  data.textContent = percent(share);
  row.style.setProperty("--share", share);
}

/** [name, probability] of the most probable class. */
function bestClass(shares) {
  return Object.entries(shares).reduce((a, b) => (b[1] > a[1] ? b : a));
}

/** Rounded down, as 49.6 % is less than 50 %. */
function percent(share) {
  return `${Math.floor(100 * share + 1e-9)} %`;
}

// Camera

let stop = null; // ends the running camera

byId("camera").onclick = async ({target}) => {
  if (stop) return stop();
  stop = () => {}; // of a second press before the camera is ready
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      video: {facingMode: "user", width: {ideal: 1280}},
    });
    target.textContent = "Stop the camera";
    status.textContent = "The camera is on.";
    await run(stream).finally(() =>
      stream.getTracks().forEach((track) => track.stop()),
    );
    status.textContent = "The camera is off.";
  } catch (error) {
    status.textContent =
      `The camera cannot be used (${error.message}): connect it, allow this ` +
      "page to use it, and close other programs that do.";
  }
  stop = null;
  byId("live").replaceChildren();
  target.textContent = "Use the camera";
};

/** Label the frames of a stream until its end, or until the button's press. */
async function run(stream) {
  const video = document.createElement("video");
  Object.assign(video, {srcObject: stream, muted: true, playsInline: true});
  const article = picture("Camera", video);
  article.querySelector(".remove").remove();
  byId("live").replaceChildren(article);
  const end = new Promise((resolve) => (stop = () => resolve(false)));
  stream.getVideoTracks()[0].onended = stop;
  await video.play();
  const tracks = new Tracks();
  let before = performance.now();
  while (await Promise.race([end, nextFrame(video)])) {
    const found = await ask(await createImageBitmap(video), true);
    if (found.error) throw new Error(found.error);
    const now = performance.now();
    show(article, {...found, faces: tracks.update(found.faces, now / 1000)});
    const rate = (1000 / (now - before)).toPrecision(2);
    article.querySelector(".count").append(`, ${rate} frames per second`);
    before = now;
  }
}

function nextFrame(video) {
  return new Promise((resolve) =>
    video.requestVideoFrameCallback(() => resolve(true)),
  );
}

// Offline

if (navigator.serviceWorker) {
  navigator.serviceWorker.register("offline.js");
  navigator.serviceWorker.ready.then(() => {
    byId("offline").textContent = "This page now also works offline.";
  });
}
