/**
 * Finds and labels faces beside the page, so that it stays responsive.
 *
 * Message in: {id, source: a File or ImageBitmap, isVideo}. Message out: {id,
 * width, height, faces} or {id, error}.
 */

import * as ort from "./vendor/ort.wasm.bundle.min.mjs";
import {PHOTO, VIDEO, detector} from "./detect.js";
import {decode} from "./pixels.js";
import {predictor} from "./predict.js";

const ready = open();

self.onmessage = async ({data: {id, source, isVideo}}) => {
  try {
    const {detect, predict} = await ready;
    const image = await decode(source);
    const faces = await detect(image, isVideo ? VIDEO : PHOTO);
    const found = await predict(image, faces);
    self.postMessage({
      id,
      width: image.width,
      height: image.height,
      faces: faces.map((face, i) => ({...face, ...found[i]})),
    });
  } catch (error) {
    self.postMessage({id, error: String(error.message ?? error)});
  }
};

async function open() {
  const [network, yunet, about] = await Promise.all([
    session("weights/four_tasks.onnx"),
    session("weights/face_detection_yunet_2026may.onnx"),
    fetch("weights/four_tasks.json").then((answer) => answer.json()),
  ]);
  const {shape} = about.input;
  return {
    detect: detector((data, height, width) =>
      outputs(yunet, data, [1, 3, height, width]),
    ),
    predict: predictor(
      (data, count) => outputs(network, data, [count, ...shape.slice(1)]),
      about,
    ),
  };
}

function session(path) {
  const address = new URL(path, self.location).href;
  return ort.InferenceSession.create(address, {executionProviders: ["wasm"]});
}

/** {name: data} of a network with one input. */
async function outputs(network, data, shape) {
  const tensor = new ort.Tensor("float32", data, shape);
  const found = await network.run({[network.inputNames[0]]: tensor});
  return Object.fromEntries(
    Object.entries(found).map(([name, {data}]) => [name, data]),
  );
}
