/** Faces of a video: their numbers and smoothed probabilities. */

import {overlap} from "./detect.js";

const SPAN = 0.5; // time constant of the smoothing, in seconds
const LOST = 1; // seconds after which a face is forgotten
const SAME = 0.3; // least overlap with the box before

export class Tracks {
  #tracks = [];
  #next = 1;

  /** The faces of a frame at a time in seconds, with number and labels. */
  update(faces, time) {
    this.#tracks = this.#tracks.filter(({seen}) => time - seen < LOST);
    const free = new Set(this.#tracks);
    return faces.map((face) => {
      const track = this.#match(face, free) ?? this.#begin(face, time);
      free.delete(track);
      smooth(track, face, time);
      Object.assign(track, {box: face.box, seen: time});
      const {number, labels, years} = track;
      return {...face, number, labels: structuredClone(labels), years};
    });
  }

  /** The free track whose box overlaps most with the face. */
  #match({box}, free) {
    const shares = [...free].map((track) => [overlap(track.box, box), track]);
    const [share, track] = shares.reduce(
      (a, b) => (b[0] > a[0] ? b : a),
      [0, null],
    );
    return share > SAME ? track : null;
  }

  #begin({labels, years}, time) {
    const track = {number: this.#next++, labels, years, seen: time};
    this.#tracks.push(track);
    return track;
  }
}

/** Exponential moving average, p <- p + (1 - exp(-t / SPAN)) (new - p). */
function smooth(track, {labels, years}, time) {
  const weight = -Math.expm1((track.seen - time) / SPAN);
  for (const [task, shares] of Object.entries(labels)) {
    for (const [name, share] of Object.entries(shares)) {
      const before = track.labels[task][name];
      track.labels[task][name] = before + weight * (share - before);
    }
  }
  // A weighted sum of probabilities, so that it is smoothed like them.
  if (years !== undefined) track.years += weight * (years - track.years);
}
