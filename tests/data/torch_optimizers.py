"""Print what PyTorch's optimizers make of five gradients: the numbers in tests/test_parity.py.

python tests/data/torch_optimizers.py    # with torch 2.13
"""

import torch

GRADIENTS = [1.0, -2.0, 0.5, 3.0, 0.1]
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "adadelta": lambda p: torch.optim.Adadelta(p),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
    "rmsprop(momentum)": lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.9),
    "centered_rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, centered=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.1),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.1),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.1, momentum_decay=1e-300),
}

for name, make in OPTIMIZERS.items():
    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    optimizer = make([theta])
    for g in GRADIENTS:
        theta.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
    print(f"{name}: {theta.item()!r}")
