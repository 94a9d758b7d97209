/**
 * Boxes, numbers and pose arrows over a picture, as in samtl/faces/drawing.
 */

const SVG = "http://www.w3.org/2000/svg";
export const COLOURS = [
  "#40c8ff",
  "#8ce65a",
  "#ff78be",
  "#b496ff",
  "#3ce1c8",
  "#ff966e",
];
const DARK = "#14161a";
// Yaw of the pose classes in degrees: the centres of their bins.
const YAW = {
  "left profile": -67.5,
  left: -30,
  frontal: 0,
  right: 30,
  "right profile": 67.5,
};
const FRONTAL = 8; // degrees within which a ring is drawn instead of an arrow

/** An SVG over a picture of width x height pixels. */
export function marks(width, height, faces) {
  const svg = made("svg", {viewBox: `0 0 ${width} ${height}`});
  svg.setAttribute("aria-hidden", "true"); // the labels are beside it as text
  const side = Math.max(width, height);
  for (const face of faces) {
    const tall = face.box[3] - face.box[1];
    const stroke = Math.max(2, Math.min(side / 320, tall / 40));
    const colour = COLOURS[(face.number - 1) % COLOURS.length];
    const group = made("g", {"data-face": face.number});
    const add = (shape) => group.append(...twice(shape, colour, stroke));
    add(frame(face.box, width, height, stroke));
    group.append(...tag(face, colour, side / 36));
    const poses = Object.keys(face.labels.pose ?? {});
    if (poses.length && poses.every((name) => name in YAW)) {
      add(pose(face, width, height, stroke));
    }
    svg.append(group);
  }
  return svg;
}

/** Expected yaw in degrees, over the classes on the side of the best one. */
export function yaw(poses) {
  const names = Object.keys(poses);
  const best = names.reduce((a, b) => (poses[b] > poses[a] ? b : a));
  const same = names.filter((name) => YAW[name] * YAW[best] >= 0);
  const total = same.reduce((sum, name) => sum + poses[name], 0);
  return same.reduce((sum, name) => sum + YAW[name] * poses[name], 0) / total;
}

/** The box of a face, as far as it lies in the picture. */
function frame(box, width, height, stroke) {
  const [x, y] = box.slice(0, 2).map((side) => Math.max(side, stroke));
  const right = Math.min(box[2], width - stroke);
  const bottom = Math.min(box[3], height - stroke);
  return made("rect", {x, y, width: right - x, height: bottom - y});
}

/** The number of a face on the upper left corner of its box. */
function tag({box, number}, colour, size) {
  const [left, bottom] = [Math.max(box[0], 0), Math.max(box[1], 1.4 * size)];
  const wide = (0.8 + 0.6 * String(number).length) * size;
  const place = {x: left, y: bottom - 1.4 * size};
  const sides = {width: wide, height: 1.4 * size};
  const text = made("text", {
    x: left + wide / 2,
    y: bottom - 0.35 * size,
    "font-size": size,
    "text-anchor": "middle",
    fill: DARK,
  });
  text.textContent = number;
  return [made("rect", {...place, ...sides, fill: colour}), text];
}

/** The arrow from a nose in the direction of the pose, or a ring. */
function pose({box, landmarks, labels}, width, height, stroke) {
  const size = box[3] - box[1];
  const radius = Math.max(3, size * 0.05);
  const angle = yaw(labels.pose);
  const [x, y] = landmarks[2];
  if (Math.abs(angle) < FRONTAL) {
    return made("circle", {cx: x, cy: y, r: radius});
  }
  const [across, down] = [0, 1].map(
    (k) =>
      (landmarks[3][k] + landmarks[4][k] - landmarks[0][k] - landmarks[1][k]) /
      2,
  );
  const roll = Math.atan2(-across, down);
  const length = 0.7 * size * Math.sin((angle * Math.PI) / 180);
  const step = [length * Math.cos(roll), length * Math.sin(roll)];
  // The part of the arrow that fits into the picture, with its head.
  const fits = [width, height].map((end, k) => {
    const at = landmarks[2][k];
    const room = Math.max((step[k] > 0 ? end - at : at) - radius - stroke, 0);
    return Math.min(1, room / Math.abs(step[k]));
  });
  const share = Math.min(...fits);
  const [dx, dy] = step.map((part) => share * part);
  const head = Math.min(0.4 * Math.hypot(dx, dy), 0.12 * size);
  const back = Math.atan2(-dy, -dx);
  const ends = [-Math.PI / 4, Math.PI / 4].map((turn) => [
    x + dx + head * Math.cos(back + turn),
    y + dy + head * Math.sin(back + turn),
  ]);
  const tip = `${x + dx} ${y + dy}`;
  const d = `M${x} ${y}L${tip}M${ends[0].join(" ")}L${tip}L${ends[1].join(" ")}`;
  return made("path", {d});
}

/** A shape in a colour, with a dark edge for light backgrounds. */
function twice(shape, colour, stroke) {
  const edge = shape.cloneNode();
  draw(edge, DARK, 1.8 * stroke);
  draw(shape, colour, stroke);
  return [edge, shape];
}

function draw(shape, colour, width) {
  const line = {stroke: colour, "stroke-width": width, fill: "none"};
  Object.entries(line).forEach(([name, value]) =>
    shape.setAttribute(name, value),
  );
}

function made(name, attributes) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) =>
    element.setAttribute(key, value),
  );
  return element;
}
