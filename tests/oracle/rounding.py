#!/usr/bin/env python3
"""How far torch's own fp32 and bf16 are from double on the networks of resnet_reference.py, and why.

A gradient jumps where rounding moves a value across the point where ReLU or a maximum decides
otherwise. So each network runs in double, in fp32, and in fp32 with the decisions of double forced
on it. Conditions: "plain" (fresh weights, 96 px, pictures of seed 7), where a few of millions of
decisions differ, and "clear" (resnet_reference.py's own). Writes FILE, lines `ARCH KEY VALUE`:

    plain.decisions, plain.moved      ReLUs of a step; those that fp32 decides otherwise
    plain.logit                       largest difference of a logit over their standard deviation
    plain.norm, plain.norm_forced     worst relative difference of a gradient's norm: free, forced
    clear.*                           the same; clear.margin: the smallest |input| of a ReLU over the
                                      root mean square rounding error of its layer's
    bf16.logit, bf16.norm             clear, the body under torch.autocast to bf16

Usage: rounding.py FILE [ARCH ...] | rounding.py --search ARCH SIDE N   (margins of the pictures of seeds 1 to N)
SPDX-License-Identifier: MIT
"""
import sys

import torch
from torch import nn

import resnet_reference as reference
from network import Net, decide_clearly, labels, made_with, pictures


class Decisions:
    """Stands in for ReLU and the two max pools of NET: notes what they decide, or repeats it."""

    def __init__(self, net):
        self.net, self.inputs, self.made, self.repeat = net, [], [], None
        for module in net.body.modules():
            if hasattr(module, "relu"):
                module.relu = self.module(self.relu)
        if not isinstance(net.body.maxpool, nn.Identity):
            net.body.maxpool = self.module(self.pool)
        net.relu, net.peak = self.relu, self.peak

    @staticmethod
    def module(function):
        out = nn.Module()
        out.forward = function
        return out

    def begin(self, repeat):
        self.inputs, self.made, self.repeat = [], [], repeat and iter(repeat)

    def decide(self, make):
        self.made.append(next(self.repeat) if self.repeat else make())
        return self.made[-1]

    def relu(self, x):
        self.inputs.append(x.detach())
        return x * self.decide(lambda: x > 0).to(x.dtype)

    def pool(self, x):
        i = self.decide(lambda: nn.functional.max_pool2d(x, 3, 2, 1, return_indices=True)[1])
        return x.flatten(2).gather(2, i.flatten(2)).view(i.shape)

    def peak(self, x):
        return x.gather(2, self.decide(lambda: x.argmax(2, True)))[..., 0]


def step(net, decisions, x, dtype, repeat=None):
    decisions.begin(repeat)
    net.to(torch.float64 if dtype is torch.float64 else torch.float32).zero_grad()
    with torch.autocast("cpu", torch.bfloat16, dtype is torch.bfloat16):
        features = net.features(x.to(next(net.parameters()).dtype))
    logits = net.classify(features.to(next(net.parameters()).dtype))
    nn.functional.cross_entropy(logits, labels()).backward()
    return {"logits": logits.detach().double(), "inputs": decisions.inputs, "made": decisions.made,
            "grads": [p.grad.double().clone() for p in net.parameters()]}


def logit(a, b):
    return ((a["logits"] - b["logits"]).abs().max() / a["logits"].std()).item()


def norm(a, b):
    return max(abs(g.norm() - h.norm()).item() / g.norm().item() for g, h in zip(a["grads"], b["grads"]))


def margin(exact, fp32):
    return min((x.abs().min() / (x - y).square().mean().sqrt()).item()
               for x, y in zip(exact["inputs"], fp32["inputs"]))


def conditions(net, x):
    decisions = Decisions(net.train())
    exact = step(net, decisions, x, torch.float64)
    fp32 = step(net, decisions, x, torch.float32)
    relus = [(a, b) for a, b in zip(exact["made"], fp32["made"]) if a.dtype == torch.bool]
    out = {"decisions": sum(a.numel() for a, _ in relus),
           "moved": sum((a != b).sum().item() for a, b in relus),
           "logit": logit(exact, fp32), "norm": norm(exact, fp32),
           "norm_forced": norm(exact, step(net, decisions, x, torch.float32, exact["made"])),
           "margin": margin(exact, fp32)}
    return out, exact, decisions


def main(path, *archs):
    with open(path, "w") as file:
        file.write(made_with("rounding.py"))
        for arch in archs or reference.PICTURES:
            plain = conditions(Net(arch), pictures(7, 96))[0]
            net, x = decide_clearly(Net(arch)), pictures(*reference.PICTURES[arch])
            clear, exact, decisions = conditions(net, x)
            bf16 = step(net, decisions, x, torch.bfloat16)
            for name, values in (("plain", plain), ("clear", clear),
                                 ("bf16", {"logit": logit(exact, bf16), "norm": norm(exact, bf16)})):
                for key, value in values.items():
                    file.write(f"{arch} {name}.{key} {value:.3g}\n" if isinstance(value, float) else
                               f"{arch} {name}.{key} {value}\n")


def search(arch, side, n):
    net = decide_clearly(Net(arch)).train()
    decisions = Decisions(net)
    for seed in range(1, int(n) + 1):
        x = pictures(seed, int(side))
        exact = step(net, decisions, x, torch.float64)
        print(f"{margin(exact, step(net, decisions, x, torch.float32)):.3g} seed {seed}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:]) if sys.argv[1] != "--search" else search(*sys.argv[2:])
