#!/usr/bin/env python3
"""Steps of torch.optim.SGD and AdamW on three values, for tests/unit/test_elem.c.

    python3 tests/oracle/optimisers.py > tests/data/optimisers.txt

A line after the first: optimiser (sgd, adamw), rate, decay, momentum (beta1), nesterov (0, 1), step, gradients of the three values,
the values after the step. All in float32; gradients are drawn by random.Random(7).
SPDX-License-Identifier: MIT
"""
import random

import torch

START, STEPS = [1.0, -0.5, 2.0], 4
CASES = [("sgd", 0.1, 0.0, 0.0, False), ("sgd", 0.1, 1e-4, 0.9, False), ("sgd", 0.05, 1e-2, 0.9, True),
         ("sgd", 0.3, 0.1, 0.5, True), ("adamw", 1e-2, 0.1, 0.9, False)]

print(f"# torch {torch.__version__}; optimiser, rate, decay, momentum, nesterov, step, gradients, values after the step")
draw = random.Random(7)
for name, lr, wd, mom, nesterov in CASES:
    x = torch.tensor(START, requires_grad=True)
    if name == "sgd":
        optimiser = torch.optim.SGD([x], lr=lr, momentum=mom, weight_decay=wd, nesterov=nesterov)
    else:
        optimiser = torch.optim.AdamW([x], lr=lr, betas=(mom, 0.99), eps=1e-5, weight_decay=wd)
    for step in range(1, STEPS + 1):
        x.grad = torch.tensor([draw.gauss(0, 1) for _ in START])
        optimiser.step()
        numbers = x.grad.tolist() + x.detach().tolist()
        print(name, lr, wd, mom, int(nesterov), step, *(f"{v:.9g}" for v in numbers))
