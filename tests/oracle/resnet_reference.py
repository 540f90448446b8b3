#!/usr/bin/env python3
"""A step of ResNet-18, 34 and 50, ResNeXt-50 32x4d, Wide ResNet-50-2 and ResNet-20, and the first three's weights after three
steps of Adam, in double.

Writes FOLDER/ARCH_reference.txt for tests/unit/test_reference.c, which draws the same weights
(seed 42, decide_clearly) and pictures by Philox. Lines are `KIND NAME NORM PROJECTION`: the L2 norm
of a tensor, and its sum with random signs, which a permuted or transposed one would not keep.

    logit I VALUE     of picture I / 5, class I % 5, training mode, no dropout
    loss VALUE
    grad              gradients of the mean loss
    stat              running statistics after the step
    frozen, unfrozen  weights less initial weights after three steps of torch's AdamW: convolutions of
                      the body fixed or not; rates and momenta of STEPS, weight decay 10 (so that
                      it shows) but for norms

Usage: resnet_reference.py FOLDER [ARCH ...]
SPDX-License-Identifier: MIT
"""
import sys

import torch
from torch import nn

from network import Net, decide_clearly, labels, made_with, pictures, plain_name, signs

# Seed and side of the pictures; see rounding.py
PICTURES = {"resnet18": (1, 40), "resnet34": (1, 40), "resnet50": (236, 40), "resnext50_32x4d": (39, 24),
            "wide_resnet50_2": (36, 24), "resnet20": (36, 32)}
TRAINED = ("resnet18", "resnet34", "resnet50")  # Adam does not know the architecture
STEPS = (((1e-5, 1e-4, 1e-3), 0.95), ((2e-5, 2e-4, 2e-3), 0.9), ((3e-5, 3e-4, 3e-3), 0.85))


def group(name):
    return 2 if name.startswith("head") else 1 if name.startswith(("body.layer3", "body.layer4")) else 0


def backward(net, arch):
    logits = net(pictures(*PICTURES[arch]).double())
    loss = nn.functional.cross_entropy(logits, labels())
    net.zero_grad()
    loss.backward()
    return logits, loss


def row(kind, name, t):
    t = t.flatten().double()
    return f"{kind} {plain_name(name)} {t.norm().item():.8g} {(t * signs(t.numel())).sum().item():.8g}\n"


def trained(arch, frozen):
    net = decide_clearly(Net(arch)).double().train()
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    for p in net.body.parameters():
        p.requires_grad_(p.dim() == 1 or not frozen)
    optimiser = torch.optim.AdamW([{"params": [p], "group": group(n),
                                    "weight_decay": 0 if p.dim() == 1 else 10}
                                   for n, p in net.named_parameters() if p.requires_grad], eps=1e-5)
    for rates, momentum in STEPS:
        for g in optimiser.param_groups:
            g["lr"], g["betas"] = rates[g["group"]], (momentum, 0.99)
        backward(net, arch)
        optimiser.step()
    return [(n, p.detach() - before[n]) for n, p in net.named_parameters() if p.requires_grad]


def main(folder, *archs):
    for arch in archs or PICTURES:
        net = decide_clearly(Net(arch)).double().train()
        logits, loss = backward(net, arch)
        with open(f"{folder}/{arch}_reference.txt", "w") as file:
            file.write(made_with("resnet_reference.py"))
            file.write("seed {}\nsize {}\n".format(*PICTURES[arch]))
            file.write(f"loss {loss.item():.9g}\n")
            for i, v in enumerate(logits.flatten().tolist()):
                file.write(f"logit {i} {v:.9g}\n")
            for name, p in net.named_parameters():
                file.write(row("grad", name, p.grad))
            for name, t in net.named_buffers():
                if "running" in name:
                    file.write(row("stat", name, t))
            for kind in ("frozen", "unfrozen") if arch in TRAINED else ():
                for name, change in trained(arch, kind == "frozen"):
                    file.write(row(kind, name, change))


if __name__ == "__main__":
    main(*sys.argv[1:])
