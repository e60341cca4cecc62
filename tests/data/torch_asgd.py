"""Print where PyTorch's ASGD takes one parameter, and its average, for tests/test_optim_free.py.

Run by hand where PyTorch is installed; the tests need it not.
"""

import torch

GRADIENTS = [1.0, -2.0, 0.5, 3.0, 0.1]


def main() -> None:
    """Five steps from 1."""
    torch.set_default_dtype(torch.float64)  # of its learning rates too
    theta = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    optimizer = torch.optim.ASGD([theta], lr=0.1, lambd=0.01, alpha=0.75, t0=2)
    for gradient in GRADIENTS:
        theta.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    print((theta.item(), optimizer.state[theta]["ax"].item()))


if __name__ == "__main__":
    main()
