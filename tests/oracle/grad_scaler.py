#!/usr/bin/env python3
"""The loss scale of torch.amp.GradScaler over 9000 steps of which seven overflow: each step at which it
changes, and the scale from then on. tests/cuda/test_emulated_kernels.c holds the numbers (torch 2.15).
SPDX-License-Identifier: MIT"""
import torch

OVERFLOWS = {0, 1, 5, 6, 2500, 2501, 4000}

scaler = torch.amp.GradScaler("cpu")
weight = torch.nn.Parameter(torch.zeros(4))
optimiser = torch.optim.SGD([weight], lr=0.0)
last = None
for step in range(9000):
    scaler.scale(weight.sum())
    weight.grad = torch.full((4,), float("inf") if step in OVERFLOWS else 1.0)
    scaler.step(optimiser)
    scaler.update()
    if scaler.get_scale() != last:
        last = scaler.get_scale()
        print(step, last)
