// What is drawn: the boundary with the examples, the network, the curves of the losses.

import { pretty } from "./choose.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
let colours = null;

export function onColours(redraw) {
  dark.addEventListener("change", () => { colours = null; redraw(); });
}

function look() {  // the style's colours, and from a byte to a colour: strong for neurons, soft behind dots
  if (colours) return colours;
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "paper", "line", "soft", "rest", "plus", "minus", "middle", "line-0", "line-1", "line-2", "line-3"];
  colours = Object.fromEntries(names.map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
  const [plus, minus, middle] = ["plus", "minus", "middle"].map(name => rgb(colours[name]));
  const table = strength => {
    const made = new Uint32Array(256), bytes = new Uint8Array(made.buffer);
    for (let i = 0; i < 256; i++) {
      const t = (i - 127.5) / 127.5, end = t > 0 ? plus : minus, share = strength * Math.abs(t);
      for (let c = 0; c < 3; c++) bytes[4 * i + c] = middle[c] + share * (end[c] - middle[c]);
      bytes[4 * i + 3] = 255;
    }
    return made;
  };
  colours.soften = table(0.62);
  colours.full = table(0.95);
  return colours;
}

function rgb(text) {
  return [1, 3, 5].map(at => parseInt(text.slice(at, at + 2), 16));
}

function fit(canvas) {  // a pen in CSS pixels on a canvas as fine as the screen
  const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  const wide = Math.round(width * scale), high = Math.round(height * scale);
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

// A picture of bytes, `side` points wide and as high as they reach; to be drawn large or small.
export function bytesPicture(bytes, side, table, kept) {
  const high = bytes.length / side, canvas = kept ?? document.createElement("canvas");
  if (canvas.width !== side || canvas.height !== high) Object.assign(canvas, { width: side, height: high });
  const pen = canvas.getContext("2d"), image = pen.createImageData(side, high);
  const pixels = new Uint32Array(image.data.buffer), colour = look()[table];
  for (let i = 0; i < bytes.length; i++) pixels[i] = colour[bytes[i]];
  pen.putImageData(image, 0, 0);
  return canvas;
}

export function drawBoundary(canvas, picture, run, slice) {
  const { pen, width, height } = fit(canvas);
  pen.imageSmoothingEnabled = true;
  pen.imageSmoothingQuality = "high";
  const [x, y, wide, high] = slice ?? [0, 0, picture.width, picture.height];
  pen.drawImage(picture, x, y, wide, high, 0, 0, width, height);
  if (dots.run !== run || dots.width !== canvas.width || dots.colours !== look()) drawDots(run, canvas, width);
  pen.drawImage(dots.canvas, 0, 0, width, height);
}

// The examples do not move: they are drawn once for all frames, and for all cards of one size.
const dots = { run: null, width: 0, colours: null, canvas: document.createElement("canvas") };

function drawDots(run, like, width) {
  const { paper, plus, minus, full } = look(), radius = Math.max(1.8, Math.min(3.2, width / 90));
  Object.assign(dots, { run, width: like.width, colours: look() });
  Object.assign(dots.canvas, { width: like.width, height: like.height });
  const pen = dots.canvas.getContext("2d"), across = width / (2 * run.half);
  pen.scale(like.width / width, like.width / width);
  const colourOf = value => {
    if (!run.numbers) return value > 0.5 ? plus : minus;
    const byte = Math.max(0, Math.min(255, Math.round(255 * (value / 4 + 0.5)))), c = full[byte];
    return `rgb(${c & 255} ${(c >> 8) & 255} ${(c >> 16) & 255})`;
  };
  run.points.forEach(([x1, x2], i) => {
    const held = i >= run.train, colour = colourOf(run.targets[i]);
    pen.beginPath();
    pen.arc((x1 + run.half) * across, (run.half - x2) * across, radius, 0, 7);
    pen.strokeStyle = held ? colour : paper;
    pen.fillStyle = held ? paper : colour;
    pen.lineWidth = held ? 1.6 : 0.8;
    pen.fill();
    pen.stroke();
  });
}

// Where the neurons stand: for each layer, for each neuron, its corner and its size.
export function placesOf(run, width, height) {
  const longest = Math.max(...run.setting.features.map(name => pretty(name).length));
  const left = 29 + 6.5 * longest, right = 24, top = 20, gaps = run.widths.length - 1;
  const apart = (width - left - right) / gaps;
  return run.widths.map((count, layer) => {
    const most = Math.min(layer === gaps ? 40 : 34, 0.6 * apart);
    const size = Math.min(most, (height - top) / count - 3), x = left + apart * layer - size / 2;
    return Array.from({ length: count }, (_, i) => ({
      x, size, y: top + (height - top) * (i + 0.5) / count - size / 2 }));
  });
}

export function nameOf(run, layer, i) {
  if (layer === 0) return pretty(run.setting.features[i]);
  return layer === run.widths.length - 1 ? "output" : `hidden ${layer}, neuron ${i + 1}`;
}

export function weightsOf(run, weights) {  // [layer].w(from, to) and .b(to), views of one row of numbers
  let at = 0;
  return run.widths.slice(1).map((outs, layer) => {
    const ins = run.widths[layer], w = at, b = at + ins * outs;
    at = b + outs;
    return { w: (i, j) => weights[w + i * outs + j], b: j => weights[b + j],
      largest: Math.max(1, ...weights.subarray(w, b).map(Math.abs)) };
  });
}

export function drawNetwork(canvas, run, weights, neurons, output, chosen) {
  const { pen, width, height } = fit(canvas), { ink, soft, rest, plus, minus } = look();
  const places = placesOf(run, width, height), layers = weightsOf(run, weights);
  synapses(pen, places, layers, chosen, plus, minus);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  let row = 0;
  places.forEach((column, layer) => {
    const last = layer === places.length - 1;
    pen.fillStyle = soft;
    pen.textAlign = "center";
    const tight = places[1][0].x + places[1][0].size / 2 - places[0][0].x - places[0][0].size / 2 < 54;
    const title = layer === 0 ? (tight ? "in" : "inputs") : last ? (tight ? "out" : "output")
      : tight ? String(layer) : `hidden ${layer}`;
    pen.fillText(title, column[0].x + column[0].size / 2, 8);
    column.forEach(({ x, y, size }, i) => {
      pen.imageSmoothingEnabled = true;
      if (last) pen.drawImage(output, x, y, size, size);
      else pen.drawImage(neurons, 0, run.small * row++, run.small, run.small, x, y, size, size);
      const here = chosen && chosen.layer === layer && chosen.i === i;
      pen.lineWidth = here ? 3 : 1;
      pen.strokeStyle = here ? ink : rest;
      pen.strokeRect(x, y, size, size);
      if (layer === 0) {
        pen.fillStyle = ink;
        pen.textAlign = "right";
        pen.fillText(pretty(run.setting.features[i]), x - 6, y + size / 2);
      } else dot(pen, x, y + size, layers[layer - 1].b(i), plus, minus);
    });
  });
}

function dot(pen, x, y, bias, plus, minus) {
  if (!Number.isFinite(bias)) return;
  pen.fillStyle = bias > 0 ? plus : minus;
  pen.beginPath();
  pen.arc(x, y, Math.min(4, 0.8 + 2.2 * Math.abs(bias)), 0, 7);
  pen.fill();
}

const WIDTHS = 10;  // lines of one width and sign are drawn at once

function synapses(pen, places, layers, chosen, plus, minus) {
  const near = new Map(), far = new Map();
  layers.forEach((layer, k) => {
    places[k].forEach((from, i) => places[k + 1].forEach((to, j) => {
      const w = layer.w(i, j), size = Math.ceil(WIDTHS * Math.abs(w) / layer.largest);
      if (!(size > 0)) return;
      const touched = !chosen || (chosen.layer === k && chosen.i === i)
        || (chosen.layer === k + 1 && chosen.i === j);
      const paths = touched ? near : far, name = w > 0 ? size : -size;
      if (!paths.has(name)) paths.set(name, new Path2D());
      const path = paths.get(name), x0 = from.x + from.size, y0 = from.y + from.size / 2;
      const x1 = to.x, y1 = to.y + to.size / 2, bend = (x1 - x0) * 0.45;
      path.moveTo(x0, y0);
      path.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
    }));
  });
  for (const [paths, alpha] of [[far, 0.08], [near, 0.8]]) {
    for (const [name, path] of paths) {
      const share = Math.abs(name) / WIDTHS;
      pen.globalAlpha = alpha * (0.25 + 0.75 * share);
      pen.lineWidth = 0.4 + 4 * share * share;
      pen.strokeStyle = name > 0 ? plus : minus;
      pen.stroke(path);
    }
  }
  pen.globalAlpha = 1;
}

export function drawChart(canvas, history) {
  const { pen, width, height } = fit(canvas), style = look();
  pen.font = "12px system-ui, sans-serif";
  const names = history.curves.map(curve => pen.measureText(curve.name).width);
  const left = 52, right = 14 + Math.min(130, Math.max(...names)), top = 8, bottom = 24;
  const seen = history.curves.flatMap(curve => [...curve.train, ...curve.test]).filter(v => v > 0 && v < Infinity);
  const high = Math.log10(Math.max(1, ...seen.map(v => Math.min(v, 1e4)))) + 0.05;
  const low = Math.min(high - 1, Math.log10(Math.max(1e-8, Math.min(...seen, 1))) - 0.05);
  const last = Math.max(10, history.steps.at(-1) ?? 0);
  const across = step => left + (width - left - right) * step / last;
  const down = v => {
    const share = (high - Math.log10(Math.max(v, 1e-9))) / (high - low);
    return top + (height - top - bottom) * Math.max(0, Math.min(1, share));
  };
  pen.strokeStyle = style.line;
  pen.fillStyle = style.soft;
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const tick of ticks(low, high)) {
    line(pen, left, down(tick), width - right, down(tick));
    pen.fillText(String(tick), left - 6, down(tick));
  }
  pen.textBaseline = "top";
  pen.textAlign = "center";
  const rough = last / Math.max(3, Math.floor(width / 160)), power = 10 ** Math.floor(Math.log10(rough));
  const every = [1, 2, 5, 10].map(digit => digit * power).find(one => one >= rough);
  for (let tick = 0; tick <= last; tick += every) {
    pen.textAlign = "center";
    pen.fillText(tick.toLocaleString("en"), across(tick), height - bottom + 6);
  }
  history.curves.forEach((curve, i) => {
    pen.strokeStyle = style[`line-${i}`];
    for (const [values, alpha, wide] of [[curve.train, 0.45, 1.2], [curve.test, 1, 2]]) {
      pen.globalAlpha = alpha;
      pen.lineWidth = wide;
      pen.beginPath();
      values.forEach((v, k) => { if (Number.isFinite(v)) pen.lineTo(across(history.steps[k]), down(v)); });
      pen.stroke();
    }
    pen.globalAlpha = 1;
  });
  nameCurves(pen, history.curves, style, width - right + 8, down, height - bottom);
}

function nameCurves(pen, curves, style, x, down, lowest) {  // at their ends, none over another
  const labels = curves.map((curve, i) => ({ name: curve.name, i, y: down(curve.test.findLast(Number.isFinite) ?? 1) }));
  labels.sort((one, other) => one.y - other.y);
  labels.forEach((label, k) => { if (k) label.y = Math.max(label.y, labels[k - 1].y + 14); });
  for (let k = labels.length - 1, limit = lowest; k >= 0; k--, limit -= 14) labels[k].y = Math.min(labels[k].y, limit);
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  for (const { name, i, y } of labels) {
    pen.fillStyle = style[`line-${i}`];
    pen.fillText(name, x, y);
  }
}

function ticks(low, high) {
  const found = [], every = high - low < 2 ? [1, 2, 5] : [1];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const digit of every) {
      const tick = Number((digit * 10 ** power).toPrecision(1)), at = Math.log10(tick);
      if (at >= low && at <= high) found.push(tick);
    }
  }
  return found;
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}
