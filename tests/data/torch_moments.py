"""Print where PyTorch's RAdam takes theta = 1: the number in tests/test_optim_moments.py.

python tests/data/torch_moments.py    # with torch 2.13
"""

import torch

theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.RAdam([theta], lr=0.1, betas=(0.9, 0.99), eps=0.0)
for g in [1.0, -2.0, 0.5, 3.0, 0.1] * 4:
    theta.grad = torch.tensor(g, dtype=torch.float64)
    optimizer.step()
print(f"radam: {theta.item()!r}")
