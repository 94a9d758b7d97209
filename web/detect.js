/**
 * Face detection with YuNet, as in samtl/faces/detect.py and search.py, which
 * give the reasons of the thresholds.
 *
 * Wu, Peng & Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine
 * Intelligence Research 2023.
 *
 * A face is {box: [left, top, right, bottom], score, landmarks: [[x, y], ...]}:
 * in pixels, and the subject's right and left eye, nose, right and left corner
 * of the mouth.
 */

import {cut, resize, round, turn} from "./pixels.js";

const LEAST_SCORE = 0.6;
const SURE = 0.9;
const TURNED = 0.8;
const CLEAR = 0.91;
const OVERLAP = 0.3;
const SIZES = [320, 640, 1280];
const LEAST_SIDE = 64;
const STRIDES = [8, 16, 32];
const [TILE, SHARED, WORTHWHILE] = [1280, 128, 1.2];

/** The searches of photos, and the faster ones of videos. */
export const PHOTO = {largest: 1280, megapixels: 5};
export const VIDEO = {largest: 640, megapixels: 0};

/**
 * A function from an image and its searches to the image's faces, the highest
 * score first.
 *
 * @param run function from a float32 tensor's [1, 3, H, W] data, H and W to
 *   YuNet's outputs {name: data}.
 */
export function detector(run) {
  const find = (image) => yunet(run, image);

  return async (image, {largest, megapixels}) => {
    const longer = Math.max(image.width, image.height);
    const useful = Math.max(2 * longer, SIZES[0]);
    const sizes = SIZES.filter((size) => size <= largest);
    let faces = [];
    for (const size of sizes.filter((size) => size <= useful)) {
      faces.push(...(await scaled(find, image, size)));
    }
    faces = distinct(distinct(faces).concat(
      await tiled(find, image, 1e6 * megapixels, sizes.at(-1)),
    ));
    const best = faces.length ? faces[0].score : 0;
    if (best >= SURE) return faces;
    const lowest = Math.min(best, TURNED);
    const turned = (await lying(find, image)).filter(
      (face) => face.score > lowest && !isDoubtful(face, faces),
    );
    return distinct(faces.concat(turned));
  };
}

/** Faces of an image that is scaled to a longer side of `size` pixels. */
async function scaled(find, image, size) {
  const small = fitted(image, size / Math.max(image.width, image.height));
  return enlarged(await find(small), small, image);
}

/** Lying and upside-down faces, of the image after one to three turns. */
async function lying(find, image) {
  const scale = SIZES[0] / Math.max(image.width, image.height);
  const small = fitted(image, scale);
  const faces = [];
  for (const turns of [1, 2, 3]) {
    const found = distinct(await find(turn(small, turns)));
    const back = {
      1: ([x, y]) => [small.width - y, x],
      2: ([x, y]) => [small.width - x, small.height - y],
      3: ([x, y]) => [y, small.height - x],
    }[turns];
    faces.push(...found.map((face) => moved(face, back)));
  }
  return enlarged(faces, small, image);
}

/** Small faces of a large image, in tiles that overlap. */
async function tiled(find, image, most, searched) {
  const scale = Math.min(1, Math.sqrt(most / (image.width * image.height)));
  const longer = Math.max(image.width, image.height);
  if (scale * longer < WORTHWHILE * searched) return [];
  const small = fitted(image, scale);
  const faces = [];
  for (const [top, bottom] of tiles(small.height)) {
    for (const [left, right] of tiles(small.width)) {
      const found = await find(cut(small, [left, top, right, bottom]));
      const placed = found.map((face) =>
        moved(face, ([x, y]) => [x + left, y + top]),
      );
      // Of a face that an inner edge cuts, another tile has the whole.
      const isWhole = ({box}) =>
        (left === 0 || box[0] > left) &&
        (top === 0 || box[1] > top) &&
        (right === small.width || box[2] < right) &&
        (bottom === small.height || box[3] < bottom);
      faces.push(...placed.filter(isWhole));
    }
  }
  return enlarged(faces, small, image);
}

/** [start, end] of the fewest tiles of equal size that cover a side. */
function tiles(side) {
  const count = Math.max(1, Math.ceil((side - SHARED) / (TILE - SHARED)));
  const length = Math.ceil((side + (count - 1) * SHARED) / count);
  const last = Math.max(0, side - length);
  return Array.from({length: count}, (_, i) => {
    const start = count > 1 ? round((last * i) / (count - 1)) : 0;
    return [start, Math.min(start + length, side)];
  });
}

function fitted(image, scale) {
  const sides = [image.width, image.height];
  return resize(image, ...sides.map((side) => Math.max(1, round(scale * side))));
}

/** Faces of a scaled copy in pixels of the image. */
function enlarged(faces, copy, image) {
  const across = image.width / copy.width;
  const down = image.height / copy.height;
  return faces.map((face) => moved(face, ([x, y]) => [x * across, y * down]));
}

/** The face after `move`, a function of a point. */
function moved(face, move) {
  const [left, top, right, bottom] = face.box;
  const [[x1, y1], [x2, y2]] = [move([left, top]), move([right, bottom])];
  const box = [
    ...[Math.min(x1, x2), Math.min(y1, y2)],
    ...[Math.max(x1, x2), Math.max(y1, y2)],
  ];
  return {...face, box, landmarks: face.landmarks.map(move)};
}

/** Non-maximum suppression, the highest score first. */
function distinct(faces, place = ({box}) => box) {
  const kept = [];
  for (const face of [...faces].sort((a, b) => b.score - a.score)) {
    const isNew = kept.every((k) => overlap(place(face), place(k)) <= OVERLAP);
    if (face.score > LEAST_SCORE && isNew) kept.push(face);
  }
  return kept;
}

/** Intersection over union of two boxes. */
export function overlap(one, other) {
  const both = shared(one, other);
  return both / (area(one) + area(other) - both || 1);
}

/** Whether a face of a rotated image is rather one of the upright faces. */
function isDoubtful(face, upright) {
  return upright.some(
    ({box, score}) =>
      shared(face.box, box) > Math.min(area(face.box), area(box)) / 2 &&
      (face.score < CLEAR || face.score <= score),
  );
}

function shared(one, other) {
  const across = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const down = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  return Math.max(across, 0) * Math.max(down, 0);
}

function area([left, top, right, bottom]) {
  return (right - left) * (bottom - top);
}

/** YuNet's faces of an image, as OpenCV's FaceDetectorYN decodes them. */
async function yunet(run, image) {
  const [width, height] = [image.width, image.height].map(
    (side) => 32 * Math.ceil(Math.max(side, LEAST_SIDE) / 32),
  );
  const outputs = await run(blueFirst(image, width, height), height, width);
  const faces = [];
  for (const stride of STRIDES) {
    const [cls, obj, bbox, kps] = ["cls", "obj", "bbox", "kps"].map(
      (name) => outputs[`${name}_${stride}`],
    );
    const columns = width / stride;
    for (let i = 0; i < cls.length; i++) {
      const score = Math.sqrt(unit(cls[i]) * unit(obj[i]));
      if (score < LEAST_SCORE) continue;
      const [column, row] = [i % columns, Math.floor(i / columns)];
      const point = (dx, dy) => [(column + dx) * stride, (row + dy) * stride];
      const [x, y] = point(bbox[4 * i], bbox[4 * i + 1]);
      const [w, h] = [2, 3].map((k) => Math.exp(bbox[4 * i + k]) * stride);
      const landmarks = [0, 2, 4, 6, 8].map((k) =>
        point(kps[10 * i + k], kps[10 * i + k + 1]),
      );
      const box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
      faces.push({box, score, landmarks});
    }
  }
  return distinct(faces, wholePixels);
}

/** The box by which OpenCV suppresses: corner and size without fractions. */
function wholePixels({box: [left, top, right, bottom]}) {
  const corner = [left, top].map(Math.trunc);
  const size = [right - left, bottom - top].map(Math.trunc);
  return [...corner, corner[0] + size[0], corner[1] + size[1]];
}

/** Planes of blue, green and red, with zeros to the right and below. */
function blueFirst({data, width, height}, wide, high) {
  const planes = new Float32Array(3 * wide * high);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 3 * (y * width + x);
      const to = y * wide + x;
      planes[to] = data[from + 2];
      planes[to + wide * high] = data[from + 1];
      planes[to + 2 * wide * high] = data[from];
    }
  }
  return planes;
}

function unit(value) {
  return Math.min(Math.max(value, 0), 1);
}
