// The form: what may be chosen, what is chosen, and who is told when that changes.

const by = id => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function pretty(name) {  // x1^2 as x with the signs for a small one and a square
  return name.replace(/x(\d)/g, (_, digit) => "x" + "₀₁₂"[digit]).replace("^2", "²");
}

function fill(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => make("option", { value, textContent: text })));
}

function choose(select, value) {  // a value that is not offered is offered, such as one in the address
  const text = String(value);
  if (![...select.options].some(option => option.value === text))
    select.append(make("option", { value: text, textContent: text }));
  select.value = text;
}

export function makeForm(choices, setting, told) {
  const form = by("choices"), most = choices.most, swatches = [0, 1, 2, 3];
  fill(by("data"), choices.data.map(one => [one.name, one.title]));
  fill(by("activation"), choices.activations.map(name => [name, name]));
  fill(by("penalty"), choices.penalties.map(name => [name, name]));
  by("features").replaceChildren(...choices.features.map(name => make("label", {},
    make("input", { type: "checkbox", value: name, checked: setting.features.includes(name) }),
    pretty(name))));

  function addLayer(width) {
    const input = make("input", { type: "number", min: 1, max: most.width, step: 1, required: true, value: width });
    const remove = make("button", { type: "button", textContent: "−" });
    const row = make("div", { className: "row" }, make("label", {}, ""), input, remove);
    remove.onclick = () => { row.remove(); number(); by("add-layer").focus(); told.anew(); };
    by("layers").append(row);
    number();
  }

  function addOptimizer(name, rate) {
    const select = make("select"), input = make("input", {
      type: "number", min: 1e-9, max: 1000, step: "any", required: true, value: rate });
    fill(select, choices.optimizers.map(one => [one.name, one.name]));
    select.value = name;
    const remove = make("button", { type: "button", textContent: "−" });
    const row = make("div", { className: "row" }, make("span", { className: "swatch" }), select, input, remove);
    select.onchange = () => {
      input.value = choices.optimizers.find(one => one.name === select.value).rate;
    };
    input.className = "live";
    remove.onclick = () => { row.remove(); number(); by("add-optimizer").focus(); told.anew(); };
    by("optimizers").append(row);
    number();
  }

  function number() {  // names that say which one, and limits
    const layers = [...by("layers").children], optimizers = [...by("optimizers").children];
    layers.forEach((row, i) => {
      const [label, input, remove] = row.children;
      input.id = `hidden-${i + 1}`;
      label.htmlFor = input.id;
      label.textContent = `hidden ${i + 1}`;
      remove.setAttribute("aria-label", `remove hidden layer ${i + 1}`);
    });
    optimizers.forEach((row, i) => {
      const [, select, input, remove] = row.children;
      row.className = `row line-${swatches[i]}`;
      select.setAttribute("aria-label", `optimizer ${i + 1}`);
      input.setAttribute("aria-label", `learning rate of optimizer ${i + 1}`);
      input.title = "learning rate";
      remove.setAttribute("aria-label", `remove optimizer ${i + 1}`);
      remove.disabled = optimizers.length === 1;
    });
    by("add-layer").disabled = layers.length >= most.layers;
    by("add-optimizer").disabled = optimizers.length >= most.optimizers;
  }

  setting.hidden.forEach(addLayer);
  setting.optimizers.forEach(([name, rate]) => addOptimizer(name, rate));
  for (const name of ["data", "examples", "test_share", "activation", "penalty", "strength"])
    choose(by(name), setting[name]);
  choose(by("batch_size"), setting.batch_size ?? "all");
  by("noise").value = setting.noise;
  by("seed").value = setting.seed;
  const showNoise = () => { by("noise-now").textContent = Number(by("noise").value).toFixed(2); };
  showNoise();

  by("data").onchange = () => {
    by("noise").value = choices.data.find(one => one.name === by("data").value).noise;
    showNoise();
  };
  by("noise").oninput = showNoise;
  by("add-layer").onclick = () => { addLayer(8); told.anew(); };
  by("add-optimizer").onclick = () => {
    const taken = [...by("optimizers").querySelectorAll("select")].map(select => select.value);
    const name = ["adam", "sgd", "momentum", "rmsprop", "lion"].find(one => !taken.includes(one));
    addOptimizer(name, choices.optimizers.find(one => one.name === name).rate);
    told.anew();
  };
  form.onsubmit = event => event.preventDefault();
  form.onchange = event => {
    const live = event.target.classList.contains("live") || event.target.id === "strength";
    live ? told.live() : told.anew();
  };

  const rates = () => [...by("optimizers").querySelectorAll("input")].map(input => Number(input.value));
  return {
    fault() {  // what is wrong with the first wrong field, in words
      const wrong = form.querySelector("input:invalid");
      if (!wrong) return by("features").querySelector(":checked") ? "" : "inputs: choose at least one";
      const name = wrong.getAttribute("aria-label") ?? wrong.labels[0]?.firstChild.textContent ?? wrong.id;
      return `${name.trim()}: ${wrong.validationMessage}`;
    },
    live: () => ({ rates: rates(), strength: Number(by("strength").value) }),
    setting: () => ({
      data: by("data").value,
      noise: Number(by("noise").value),
      examples: Number(by("examples").value),
      test_share: Number(by("test_share").value),
      seed: Number(by("seed").value),
      features: [...by("features").querySelectorAll("input:checked")].map(input => input.value),
      hidden: [...by("layers").querySelectorAll("input")].map(input => Number(input.value)),
      activation: by("activation").value,
      optimizers: [...by("optimizers").querySelectorAll("select")].map((select, i) => [select.value, rates()[i]]),
      batch_size: by("batch_size").value === "all" ? null : Number(by("batch_size").value),
      penalty: by("penalty").value,
      strength: Number(by("strength").value),
    }),
  };
}
