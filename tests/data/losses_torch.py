"""Prints the numbers of PyTorch 2.13, in float64, that tests/test_losses.py holds losses to.

python tests/data/losses_torch.py > tests/data/losses_torch.json
"""

import json

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(0)
arrays = {
    "z": rng.normal(size=(6, 4)) * 2,
    "labels": rng.integers(0, 4, 6),
    "weights": np.array([0.5, 1.0, 2.0, 3.0]),
    "u": rng.normal(size=(6, 4)),
    "v": rng.normal(size=(6, 4)),
    "n": rng.normal(size=(6, 4)),
    "q": rng.dirichlet(np.ones(4), 6),
    "bit": rng.integers(0, 2, (6, 4)),
    "count": rng.integers(0, 5, (6, 4)),
    "var": rng.uniform(0.1, 2, (6, 4)),
    "sign": np.array([1, -1, 1, 1, -1, -1]),
    "frames": rng.normal(size=(3, 7, 5)) * 2,
    "strings": np.array([[1, 2, 2], [3, 1, 4], [2, 4, 1]]),
    "logit_lengths": np.array([7, 6, 5]),
    "label_lengths": np.array([3, 2, 1]),
}
t = {name: torch.from_numpy(array) for name, array in arrays.items()}
z, labels, u, v = t["z"], t["labels"], t["u"], t["v"]
bit = t["bit"].double()
none = {"reduction": "none"}
numbers = {
    "cross_entropy": F.cross_entropy(z, labels, **none),
    "cross_entropy smoothed": F.cross_entropy(z, labels, label_smoothing=0.1, **none),
    "cross_entropy weighted": F.cross_entropy(z, labels, weight=t["weights"], **none),
    "cross_entropy weighted mean": F.cross_entropy(z, labels, weight=t["weights"]),
    "cross_entropy smoothed and weighted": F.cross_entropy(
        z, labels, weight=t["weights"], label_smoothing=0.1, **none
    ),
    "cross_entropy ignoring 2": F.cross_entropy(z, labels, ignore_index=2, **none),
    "soft_cross_entropy": F.cross_entropy(z, t["q"], **none),
    "binary_cross_entropy": F.binary_cross_entropy_with_logits(
        z, bit, pos_weight=torch.tensor(3.0), **none
    ),
    "nll": F.nll_loss(F.log_softmax(z, -1), labels, **none),
    "kl_divergence": F.kl_div(F.log_softmax(z, -1), t["q"], **none).sum(-1),
    "multiclass_hinge": F.multi_margin_loss(z, labels, margin=0.7, **none),
    "squared_error": F.mse_loss(u, v, **none),
    "absolute_error": F.l1_loss(u, v, **none),
    "huber": F.huber_loss(u, v, delta=0.6, **none),
    "smooth_l1": F.smooth_l1_loss(u, v, beta=0.6, **none),
    "poisson_nll": F.poisson_nll_loss(u, t["count"].double(), **none),
    "gaussian_nll": F.gaussian_nll_loss(u, v, t["var"], **none),
    "cosine_embedding": F.cosine_embedding_loss(u, v, t["sign"], margin=0.1, **none),
    "triplet 2": F.triplet_margin_loss(u, v, t["n"], margin=0.5, eps=0, **none),
    "triplet 1": F.triplet_margin_loss(u, v, t["n"], margin=0.5, p=1, eps=0, **none),
    "margin_ranking": F.margin_ranking_loss(u[:, 0], v[:, 0], t["sign"], margin=0.2, **none),
    "ctc": F.ctc_loss(
        F.log_softmax(t["frames"], -1).transpose(0, 1),
        t["strings"],
        t["logit_lengths"],
        t["label_lengths"],
        **none,
    ),
}
print(
    json.dumps(
        {
            "arrays": {name: array.tolist() for name, array in arrays.items()},
            "numbers": {name: number.tolist() for name, number in numbers.items()},
        },
        indent=None,
    )
)
