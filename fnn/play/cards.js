// A card shows one optimizer: its losses, its boundary, its network and the neuron that is looked at.

import { bytesPicture, drawBoundary, drawNetwork, nameOf, placesOf, weightsOf } from "./pictures.js";

function number(v) {
  if (!Number.isFinite(v)) return "–";
  return (v !== 0 && Math.abs(v) < 0.001 ? v.toExponential(1) : v.toPrecision(3)).replaceAll("-", "−");
}

export function card(run, place, [optimizer, rate]) {
  const element = document.getElementById("card").content.firstElementChild.cloneNode(true);
  const part = name => element.querySelector(`.${name}`);
  const boundary = part("boundary"), network = part("network"), note = part("note");
  let chosen = null, shown = null, step = 0, gone = 0, outputPicture, neuronsPicture;

  element.classList.add(`line-${place}`);
  note.id = `note-${place}`;
  network.setAttribute("role", "application");
  network.setAttribute("aria-describedby", note.id);
  network.setAttribute("aria-label",
    `network of ${optimizer}: the arrow keys go from neuron to neuron, Escape leaves`);

  function name(now = rate) {
    return part("name").textContent = `${optimizer}, ${now}`;
  }

  function show(frame, now) {
    [shown, step] = [frame, now];
    const [train, test, right] = frame.losses;
    part("train").textContent = number(train);
    part("test").textContent = number(test);
    gone = Number.isFinite(train) ? 0 : gone || step;
    part("right").textContent = gone || !Number.isFinite(right) ? "" : `right ${(100 * right).toFixed(1)} %`;
    part("gone").textContent = gone ? `diverged by step ${gone}` : "";
    draw();
  }

  function draw() {
    if (!shown) return;
    outputPicture = bytesPicture(shown.output, run.grid, "soften", outputPicture);
    neuronsPicture = bytesPicture(shown.neurons, run.small, "full", neuronsPicture);
    drawNetwork(network, run, shown.weights, neuronsPicture, outputPicture, chosen);
    const hidden = chosen && chosen.layer < run.widths.length - 1;
    if (hidden) {
      const row = run.widths.slice(0, chosen.layer).reduce((a, b) => a + b, chosen.i);
      drawBoundary(boundary, neuronsPicture, run, [0, row * run.small, run.small, run.small]);
    } else drawBoundary(boundary, outputPicture, run);
    boundary.setAttribute("aria-label", `${hidden ? nameOf(run, chosen.layer, chosen.i) : "output"} of`
      + ` ${optimizer} over the plane of the examples after ${step} steps`);
    describe();
  }

  function describe() {
    const text = chosen ? words() : "";
    if (note.textContent !== text) note.textContent = text;
  }

  function words() {
    const { layer, i } = chosen, title = nameOf(run, layer, i);
    if (layer === 0) return `${title}: an input`;
    const { w, b } = weightsOf(run, shown.weights)[layer - 1];
    const short = k => layer > 1 ? `neuron ${k + 1}` : nameOf(run, 0, k);
    const sources = Array.from({ length: run.widths[layer - 1] }, (_, k) => [short(k), w(k, i)]);
    sources.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
    const told = sources.slice(0, 3).map(([from, value]) => `${number(value)} from ${from}`).join(", ");
    return `${title}: bias ${number(b(i))}; ${sources.length > 3 ? "largest weights" : "weights"} ${told}`;
  }

  function look(found) {
    if (chosen?.layer === found?.layer && chosen?.i === found?.i) return;
    chosen = found;
    draw();
  }

  network.onpointermove = event => {
    const places = placesOf(run, network.clientWidth, network.clientHeight);
    const [x, y] = [event.offsetX, event.offsetY];
    let found = null;
    places.forEach((column, layer) => column.forEach((one, i) => {
      if (x >= one.x - 3 && x <= one.x + one.size + 3 && y >= one.y - 1.5 && y <= one.y + one.size + 1.5)
        found = { layer, i };
    }));
    network.style.cursor = found ? "pointer" : "";
    look(found ?? (document.activeElement === network ? chosen : null));
  };
  network.onpointerleave = () => { if (document.activeElement !== network) look(null); };
  network.onblur = () => look(null);
  network.onkeydown = event => {
    if (event.key === "Escape" && chosen) { look(null); event.preventDefault(); return; }
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!moves[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const [along, down] = moves[event.key], end = (value, most) => Math.max(0, Math.min(most, value));
    if (!chosen) { look({ layer: 1, i: 0 }); return; }
    const layer = end(chosen.layer + along, run.widths.length - 1), count = run.widths[layer];
    const i = along ? Math.floor((chosen.i + 0.5) / run.widths[chosen.layer] * count) : chosen.i + down;
    look({ layer, i: end(i, count - 1) });
  };

  name();
  return { element, show, name, quiet: on => note.setAttribute("aria-live", on ? "off" : "polite") };
}
