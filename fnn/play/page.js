// The page: it asks the server for frames, one after another while it plays, and shows them.

import { makeForm } from "./choose.js";
import { card } from "./cards.js";
import { drawChart, onColours } from "./pictures.js";

const by = id => document.getElementById(id);
const MOST = 1200;  // points kept of a curve; then every second one goes
let form, run = null, cards = [], last = null, history = null;
let playing = false, looping = false, turn = 0, timer = null, queue = Promise.resolve();
const drawn = [];  // when the frames of the last second were

async function post(name, body) {
  let answer;
  try {
    answer = await fetch(name, { method: "POST", body: JSON.stringify(body) });
  } catch {
    throw new Error("the server does not answer; start fnn play again and open the address it prints");
  }
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

function tell(problem) {
  by("problem").textContent = problem;
  by("problem").hidden = !problem;
}

function play(on) {
  playing = on && run !== null;
  by("play").textContent = playing ? "Pause" : "Play";
  cards.forEach(one => one.quiet(playing));
  if (playing) { by("status").textContent = "training"; if (!looping) loop(); }
  else if (last) by("status").textContent = `paused after ${last.step} steps`;
}

async function anew() {
  play(false);
  const mine = ++turn, fault = form.fault();
  tell(fault);
  if (fault) return;
  const setting = form.setting();
  by("status").textContent = "compiling";
  try {
    const found = await (await post("start", setting)).json();
    if (mine !== turn) return;
    run = found;
    globalThis.history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(setting))}`);
    cards = run.setting.optimizers.map((optimizer, i) => card(run, i, optimizer));
    by("cards").replaceChildren(...cards.map(one => one.element));
    history = { steps: [], curves: cards.map(one => ({ name: one.name(), train: [], test: [] })) };
    last = null;
    const frame = await ask(0);
    if (mine !== turn) return;
    show(frame);
    by("status").textContent = "ready";
  } catch (problem) {
    if (mine === turn) { run = null; tell(problem.message); by("status").textContent = ""; }
  }
}

function live() {
  const fault = form.fault();
  tell(fault);
  if (fault || !run) return;
  form.live().rates.forEach((rate, i) => {
    if (cards[i]) history.curves[i].name = cards[i].name(rate);
  });
  if (!playing) redraw();
  globalThis.history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(form.setting()))}`);
}

async function ask(steps) {
  const wanted = form.fault() ? {} : form.live();
  const answer = await post("frame", { session: run.session, steps, ...wanted });
  return read(await answer.arrayBuffer());
}

function read(buffer) {
  const count = cards.length, widths = run.widths;
  const parameters = widths.slice(1).reduce((sum, outs, k) => sum + (widths[k] + 1) * outs, 0);
  const neurons = widths.slice(0, -1).reduce((a, b) => a + b, 0) * run.small ** 2, grid = run.grid ** 2;
  const numbers = new Float32Array(buffer, 4, count * (3 + parameters));
  const bytes = new Uint8Array(buffer, 4 + 4 * numbers.length);
  return {
    step: new Int32Array(buffer, 0, 1)[0],
    parts: cards.map((_, i) => ({
      losses: numbers.subarray(3 * i, 3 * i + 3),
      weights: numbers.subarray(3 * count + parameters * i, 3 * count + parameters * (i + 1)),
      output: bytes.subarray(grid * i, grid * (i + 1)),
      neurons: bytes.subarray(grid * count + neurons * i, grid * count + neurons * (i + 1)),
    })),
  };
}

async function loop() {
  looping = true;
  const mine = turn;
  try {
    let next = ask(Number(by("speed").value));
    while (next) {  // the server takes the next steps while this frame is drawn
      const frame = await next;
      if (mine !== turn) break;
      next = playing ? ask(Number(by("speed").value)) : null;
      show(frame);
      await new Promise(requestAnimationFrame);
      count();
    }
  } catch (problem) {
    if (mine === turn) { tell(problem.message); play(false); }
  }
  looping = false;
  if (playing) loop();  // it was reset and played again meanwhile
  else if (mine === turn && last) by("status").textContent = `paused after ${last.step} steps`;
}

function count() {
  const now = performance.now();
  drawn.push(now);
  while (drawn[0] < now - 1000) drawn.shift();
  by("frames").textContent = drawn.length;
}

function show(frame) {
  last = frame;
  const { steps, curves } = history;
  if (frame.step > (steps.at(-1) ?? -1)) {
    steps.push(frame.step);
    frame.parts.forEach(({ losses }, i) => { curves[i].train.push(losses[0]); curves[i].test.push(losses[1]); });
    if (steps.length > MOST) {
      const thin = array => array.splice(0, array.length, ...array.filter((_, k) => k % 2 === (MOST & 1)));
      [steps, ...curves.flatMap(curve => [curve.train, curve.test])].forEach(thin);
    }
  }
  by("steps").textContent = frame.step.toLocaleString("en");
  const size = run.setting.batch_size ?? run.train;
  by("passes").textContent = (frame.step * size / run.train).toFixed(1);
  redraw();
}

function redraw() {
  if (!last || !run) return;
  cards.forEach((one, i) => one.show(last.parts[i], last.step));
  drawChart(by("chart"), history);
}

function step() {
  play(false);
  queue = queue.then(async () => {
    while (looping) await new Promise(requestAnimationFrame);
    if (!run) return;
    const mine = turn, frame = await ask(1);
    if (mine !== turn) return;
    show(frame);
    by("status").textContent = `step ${frame.step}`;
  }).catch(problem => tell(problem.message));
}

function remembered(setting) {  // what the address says, if it says a setting
  try {
    return { ...setting, ...JSON.parse(decodeURIComponent(location.hash.slice(1))) };
  } catch {
    return setting;
  }
}

async function begin() {
  const choices = await (await fetch("choices")).json();
  const soon = () => {  // what is under way belongs to a setting that is no more
    play(false);
    turn++;
    clearTimeout(timer);
    timer = setTimeout(anew, 60);
  };
  const told = { anew: soon, live };
  try {
    form = makeForm(choices, remembered(choices.setting), told);
  } catch {  // an address of someone's own making
    by("layers").replaceChildren();
    by("optimizers").replaceChildren();
    form = makeForm(choices, choices.setting, told);
  }
  by("play").onclick = () => play(!playing);
  by("step").onclick = step;
  by("reset").onclick = anew;
  by("go").onclick = () => { by("choices").scrollIntoView(); by("data").focus({ preventScroll: true }); };
  onColours(redraw);
  new ResizeObserver(redraw).observe(by("cards"));
  document.addEventListener("keydown", event => {
    const busy = event.target.closest("input, select, button, summary, a");
    if (event.defaultPrevented || busy || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = { " ": () => play(!playing), ArrowRight: step, Home: anew };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  await anew();
}

begin();
