/**
 * Pixels, computed as OpenCV does, within one level of 255.
 *
 * An image is {data, width, height, channels}: bytes by rows, the channels of
 * a pixel side by side, 3 for RGB and 1 for gray.
 */

/** The pixels of a photo file, a video frame or the like: upright, in sRGB. */
export async function decode(source) {
  const bitmap = await createImageBitmap(source);
  const {width, height} = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "white"; // behind transparent pixels
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8ClampedArray(3 * width * height);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    data[to] = rgba[from];
    data[to + 1] = rgba[from + 1];
    data[to + 2] = rgba[from + 2];
  }
  return {data, width, height, channels: 3};
}

/**
 * Another size: the mean of the covered area (INTER_AREA) where the image
 * shrinks, linear interpolation (INTER_LINEAR) where it grows.
 */
export function resize(image, width, height) {
  const isSmaller = width * height < image.width * image.height;
  const data = isSmaller
    ? shrunk(image, width, height)
    : enlarged(image, width, height);
  return {data, width, height, channels: image.channels};
}

/** A weighted sum of source pixels across, and of such sums down. */
function shrunk(image, width, height) {
  const {data, channels} = image;
  const across = areas(image.width, width);
  const down = areas(image.height, height);
  const line = new Float32Array(width * channels);
  const sums = new Float32Array(line.length * height);
  // At half the size, halves are rounded up.
  const isHalf = image.width === 2 * width && image.height === 2 * height;
  if (isHalf) sums.fill(1e-3);
  let row = -1;
  for (let d = 0; d < down.weight.length; d++) {
    if (down.from[d] !== row) {
      row = down.from[d];
      line.fill(0);
      const start = row * image.width * channels;
      for (let a = 0; a < across.weight.length; a++) {
        const weight = across.weight[a];
        const from = start + across.from[a] * channels;
        const to = across.to[a] * channels;
        for (let c = 0; c < channels; c++) {
          line[to + c] += weight * data[from + c];
        }
      }
    }
    const weight = down.weight[d];
    const start = down.to[d] * line.length;
    for (let i = 0; i < line.length; i++) sums[start + i] += weight * line[i];
  }
  // The conversion rounds to the nearest level, halves to the even one.
  return new Uint8ClampedArray(sums);
}

/** The weights of source pixels in the areas of output pixels, on one side. */
function areas(before, after) {
  const found = {from: [], to: [], weight: []};
  const scale = before / after;
  for (let to = 0; to < after; to++) {
    const start = to * scale;
    const end = Math.min(start + scale, before);
    for (let from = Math.floor(start); from < end; from++) {
      const covered = Math.min(from + 1, end) - Math.max(from, start);
      if (covered < 1e-3) continue;
      found.from.push(from);
      found.to.push(to);
      found.weight.push(covered / (end - start));
    }
  }
  return {
    from: Int32Array.from(found.from),
    to: Int32Array.from(found.to),
    weight: Float32Array.from(found.weight),
  };
}

/** Linear interpolation in OpenCV's fixed-point numbers, which round down. */
function enlarged(image, width, height) {
  const {data, channels} = image;
  const result = new Uint8ClampedArray(width * height * channels);
  const across = neighbours(image.width, width, channels);
  const down = neighbours(image.height, height, image.width * channels);
  let to = 0;
  for (const [row, next, above, below] of down) {
    for (const [column, beside, left, right] of across) {
      for (let c = 0; c < channels; c++) {
        const [at, under] = [row + c, next + c];
        const upper = left * data[at + column] + right * data[at + beside];
        const lower = left * data[under + column] + right * data[under + beside];
        const sum =
          ((above * (upper >> 4)) >> 16) + ((below * (lower >> 4)) >> 16);
        result[to++] = (sum + 2) >> 2;
      }
    }
  }
  return result;
}

/** [offset, offset of the next, their weights of 2048] of output pixels. */
function neighbours(before, after, stride) {
  return Array.from({length: after}, (_, to) => {
    const place = ((to + 0.5) * before) / after - 0.5;
    const at = Math.min(Math.max(place, 0), before - 1);
    const from = Math.floor(at);
    const next = Math.min(from + 1, before - 1);
    const weight = round(2048 * (at - from));
    return [from * stride, next * stride, 2048 - weight, weight];
  });
}

/** An RGB image in gray: 0.299 R + 0.587 G + 0.114 B, in 15 bits. */
export function gray({data, width, height}) {
  const levels = new Uint8ClampedArray(width * height);
  for (let i = 0; i < levels.length; i++) {
    const [r, g, b] = [data[3 * i], data[3 * i + 1], data[3 * i + 2]];
    levels[i] = (9798 * r + 19235 * g + 3735 * b + 16384) >> 15;
  }
  return {data: levels, width, height, channels: 1};
}

/** The pixels of a box in whole pixels; outside the image, its edge repeats. */
export function cut(image, [left, top, right, bottom]) {
  const {channels} = image;
  const [width, height] = [right - left, bottom - top];
  const data = new Uint8ClampedArray(width * height * channels);
  let to = 0;
  for (let y = top; y < bottom; y++) {
    const row = Math.min(Math.max(y, 0), image.height - 1) * image.width;
    for (let x = left; x < right; x++) {
      const column = Math.min(Math.max(x, 0), image.width - 1);
      const from = (row + column) * channels;
      for (let c = 0; c < channels; c++) data[to++] = image.data[from + c];
    }
  }
  return {data, width, height, channels};
}

/** The image after counter-clockwise quarter turns, 0 to 3. */
export function turn(image, turns) {
  if (turns === 0) return image;
  const {data: pixels, width, height, channels} = turn(image, turns - 1);
  const data = new Uint8ClampedArray(pixels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * channels;
      const to = ((width - 1 - x) * height + y) * channels;
      for (let c = 0; c < channels; c++) data[to + c] = pixels[from + c];
    }
  }
  return {data, width: height, height: width, channels};
}

/** Rounded as Python does, halves to the even number. */
export function round(value) {
  const nearest = Math.round(value);
  const isHalf = Math.abs(value % 1) === 0.5;
  return isHalf && nearest % 2 ? nearest - 1 : nearest;
}
