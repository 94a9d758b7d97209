/**
 * Calibrated class probabilities of faces, as in samtl/inference.
 */

import {cut, gray, resize, round, turn} from "./pixels.js";

const LEAST_PROBABILITY = 1e-12;

/**
 * A function from an image and its faces to their labels and ages.
 *
 * @param run function from float32 data [B, height, width, channels] and B to
 *   {task: softmax probabilities [B, classes]}.
 * @param about the description beside the weights, see
 *   samtl/inference/loading.py.
 * @returns function whose result has for each face {labels: {task: {class:
 *   probability}}, years: expected age, undefined without the task}.
 */
export function predictor(run, about) {
  const [height, width, channels] = about.input.shape.slice(1);
  const size = height * width * channels;

  function input(image, face) {
    const box = frame(face, about.margin ?? 0.7);
    const upright = turn(cut(image, box), quarterTurns(face));
    const pixels = channels === 1 ? gray(upright) : upright;
    return resize(pixels, width, height).data;
  }

  return async (image, faces) => {
    if (faces.length === 0) return [];
    const batch = new Float32Array(2 * faces.length * size);
    faces.forEach((face, i) => {
      const pixels = input(image, face);
      batch.set(pixels, i * size);
      batch.set(
        mirrored(pixels, width, channels),
        (faces.length + i) * size,
      );
    });
    const outputs = await run(batch, 2 * faces.length);
    return faces.map((_, i) => labelled(outputs, about, i, faces.length));
  };
}

/** Labels and age of face i of `count`, whose mirror images follow. */
function labelled(outputs, about, i, count) {
  const labels = {};
  for (const [task, classes] of Object.entries(about.tasks)) {
    const row = (at) =>
      outputs[task].subarray(at * classes.length, (at + 1) * classes.length);
    const [plain, flipped] = [row(i), row(count + i)];
    let both = Array.from(plain);
    if (!about.no_flip?.includes(task)) {
      const other = classes.map((name) => classes.indexOf(otherSide(name)));
      both = both.map((p, c) => Math.sqrt(p * flipped[other[c]]));
    }
    const shares = scaled(both, about.temperatures?.[task] ?? 1);
    labels[task] = Object.fromEntries(
      classes.map((name, c) => [name, shares[c]]),
    );
  }
  const ages = labels.age && about.age_years;
  const years =
    ages && Object.values(labels.age).reduce((s, p, c) => s + p * ages[c], 0);
  return {labels, years};
}

/** The square around the landmarks, enlarged on each side by the margin. */
function frame({landmarks}, margin) {
  const [xs, ys] = [0, 1].map((k) => landmarks.map((point) => point[k]));
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  const side = Math.max(right - left, bottom - top);
  const size = Math.max(1, round(side * (1 + 2 * margin)));
  const x = round((left + right) / 2 - size / 2);
  const y = round((top + bottom) / 2 - size / 2);
  return [x, y, x + size, y + size];
}

/** Counter-clockwise quarter turns that make a face upright, 0 to 3. */
function quarterTurns({landmarks: [right, left, , ...mouth]}) {
  const [x, y] = [0, 1].map(
    (k) => (mouth[0][k] + mouth[1][k] - right[k] - left[k]) / 2,
  );
  const angle = (Math.atan2(y, x) * 180) / Math.PI - 90;
  return (round(angle / 90) + 4) % 4;
}

function mirrored(pixels, width, channels) {
  return pixels.map((_, i) => {
    const place = Math.floor(i / channels);
    const column = place % width;
    const other = place - column + (width - 1 - column);
    return pixels[other * channels + (i % channels)];
  });
}

function otherSide(name) {
  const other = {left: "right", right: "left"};
  return name.replace(/\b(left|right)\b/, (side) => other[side]);
}

/**
 * Probabilities at a temperature, softmax(log p / T): Guo, Pleiss, Sun,
 * Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
 */
function scaled(probabilities, temperature) {
  const logits = probabilities.map((p) =>
    Math.log(Math.max(p, LEAST_PROBABILITY)),
  );
  const largest = Math.max(...logits);
  const powers = logits.map((l) => Math.exp((l - largest) / temperature));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}
