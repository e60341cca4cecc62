"""Print the learning rates of PyTorch's schedulers: the numbers in tests/test_schedules.py.

python tests/data/torch_schedules.py    # with torch 2.13
"""

import torch
from torch.optim import lr_scheduler

SHOWN = (0, 1, 5, 29, 30, 31, 65, 99, 100)


def values(make, steps=101):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < steps:
            scheduler.step()
    return [rates[count] for count in SHOWN]


def cyclic(mode, gamma=1.0):
    return lambda o: lr_scheduler.CyclicLR(
        o, 0.02, 0.5, step_size_up=12, mode=mode, gamma=gamma, cycle_momentum=False
    )


def one_cycle(**settings):
    # PyTorch turns at pct_start * total_steps - 1 and ends at total_steps - 1: here at 30 and 100
    return lambda o: lr_scheduler.OneCycleLR(
        o, 0.4, total_steps=101, pct_start=31 / 101, cycle_momentum=False, **settings
    )


SCHEDULERS = {
    "triangular": cyclic("triangular"),
    "triangular2": cyclic("triangular2"),
    "exp_range": cyclic("exp_range", 0.99),
    "one_cycle": one_cycle(),
    "linear_one_cycle": one_cycle(anneal_strategy="linear", three_phase=True),
}
for name, make in SCHEDULERS.items():
    print(f'    "{name}": {values(make)},')
