"""Weights from PyTorch: a `state_dict` into a net of fnn, with every shape and name accounted for.

A state_dict is a dict of arrays by name, and a safetensors file is the same on disk; PyTorch itself
is not needed to read either. Here one of a small CNN is made by hand, in PyTorch's layout, together
with the few lines of NumPy that say what PyTorch computes from it:

    Conv2d(1, 6, 3, stride=2, padding=1) -> BatchNorm2d(6) -> ReLU -> Flatten -> Linear(6*14*14, 10)

Of your own model: `weights = model.state_dict()`, or the path of its safetensors file.
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import batch_norm, conv, dense, flatten

rng = np.random.default_rng(0)


def drawn(*shape):
    return rng.normal(0.0, 0.2, shape).astype(np.float32)


weights = {
    "features.0.weight": drawn(6, 1, 3, 3),  # (outputs, inputs, height, width)
    "features.0.bias": drawn(6),
    "features.1.weight": 1 + drawn(6),
    "features.1.bias": drawn(6),
    "features.1.running_mean": drawn(6),
    "features.1.running_var": 1 + drawn(6) ** 2,
    "features.1.num_batches_tracked": np.array(100),
    "classifier.weight": drawn(10, 6 * 14 * 14),  # (outputs, inputs)
    "classifier.bias": drawn(10),
}


def as_pytorch_computes(w, x):
    """The model's output for images (batch, channels, height, width)."""
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    seen = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2]
    h = np.einsum("nchwij,ocij->nohw", seen, w["features.0.weight"])
    h = h + w["features.0.bias"][:, None, None]
    mean, var = w["features.1.running_mean"], w["features.1.running_var"]
    scale = w["features.1.weight"] / np.sqrt(var + 1e-5)
    h = (h - mean[:, None, None]) * scale[:, None, None] + w["features.1.bias"][:, None, None]
    h = np.maximum(h, 0).reshape(len(h), -1)
    return h @ w["classifier.weight"].T + w["classifier.bias"]


# The same net here. PyTorch's padding=1 with a stride is not "SAME", so it is written as it is.
net = fnn.serial(
    conv(6, (3, 3), stride=2, padding=1),
    batch_norm(),
    jax.nn.relu,
    flatten(),
    head=dense(10),
)
x = fnn.datasets.load("mnist").x_test[:50]
variables = net.init(jax.random.key(0), x)

# 1. Which module is which: a dict from our paths to PyTorch's. What is forgotten is told.
names = {"conv_0": "features.0", "batch_norm_1": "features.1"}
try:
    fnn.interop.from_torch(net, variables, weights, names)
except ValueError as error:
    print(error)
    assert "head/w" in str(error)
    assert "classifier.weight" in str(error)

# 2. A first guess, by order, which for a plain stack is right.
guess = fnn.interop.in_order(net, variables, weights)
print("\nin order:", guess)
assert guess == {**names, "head": "classifier"}

# 3. The trap: PyTorch flattens (features, height, width), we flatten (height, width, features). The
# shapes agree, so no error can tell; an output does. `after_flatten` turns such a weight.
images = np.moveaxis(np.asarray(x), -1, 1)
expected = as_pytorch_computes(weights, images)


def error_with(names):
    params, state = fnn.interop.from_torch(net, variables, weights, names)
    return float(jnp.abs(fnn.predict(net, params, state, x) - expected).max())


turned = {**guess, "head/w": ("classifier.weight", fnn.interop.after_flatten(6, 14, 14))}
print(f"largest difference of the outputs, as guessed:    {error_with(guess):.1e}")
print(f"largest difference of the outputs, after_flatten: {error_with(turned):.1e}")
assert error_with(guess) > 0.1
assert error_with(turned) < 1e-4

# 4. Names may be a function of our path, which suits deep models: here GPT-2's, whose weights are
# (inputs, outputs) already, and whose queries, keys and values are one array.
ENDS = {"w": "weight", "b": "bias"}
PARTS = {"out": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
WHOLE = {"table": "wte", "positions": "wpe", "body/norm": "ln_f"}


def gpt2(path):
    match path.split("/"):
        case ["body", block, norm] if norm.startswith("norm_"):
            return f"{block.replace('block_', 'h.')}.ln_{norm[-1]}"
        case ["body", block, "attention", ("q" | "k" | "v") as part, end]:
            name = f"{block.replace('block_', 'h.')}.attn.c_attn.{ENDS[end]}"
            return name, lambda a: np.split(a, 3, axis=-1)["qkv".index(part)]
        case ["body", block, "attention" | "mlp", part, end]:
            return f"{block.replace('block_', 'h.')}.{PARTS[part]}.{ENDS[end]}", lambda a: a
    return WHOLE.get(path)


size, vocabulary, length = 32, 50, 16
gpt = fnn.models.gpt(vocabulary, length=length, features=size, heads=2, blocks=2)
weights = {"wte.weight": drawn(vocabulary, size), "wpe.weight": drawn(length, size)}
for i in range(2):
    for name, shape in (
        ("ln_1", (size,)),
        ("attn.c_attn", (size, 3 * size)),
        ("attn.c_proj", (size, size)),
        ("ln_2", (size,)),
        ("mlp.c_fc", (size, 4 * size)),
        ("mlp.c_proj", (4 * size, size)),
    ):
        weights |= {f"h.{i}.{name}.weight": drawn(*shape), f"h.{i}.{name}.bias": drawn(shape[-1])}
weights |= {"ln_f.weight": drawn(size), "ln_f.bias": drawn(size)}

ids = jax.random.randint(jax.random.key(1), (1, length), 0, vocabulary)
like = jax.eval_shape(gpt.init, jax.random.key(0), ids)  # shapes are enough
params, state = fnn.interop.from_torch(gpt, like, weights, gpt2)
print(
    f"\nGPT-2's {len(weights)} arrays filled {fnn.trees.count(params):,} parameters, none left over"
)
assert fnn.trees.count(params) == sum(a.size for a in weights.values())
assert bool(fnn.trees.all_finite(fnn.predict(gpt, params, state, ids)))
