#!/usr/bin/env python3
"""The loss of each step of a training from nothing, by PyTorch, on presize's own pictures.

ResNet-18, 128 px, batch 32, one cycle of two epochs to 5e-5, dropout 0, no augmentation. Lines are
`STEP FP32 DOUBLE`: how far the two are apart is how far rounding alone leads from one curve to another.
At this rate 2e-3 after ten steps; at 1e-4 it is 1e-2, at 3e-3, a rate one would train with, 4e-2.

Equal to presize's run in tests/tool/test_train_curve.sh by construction: pictures cut square and
presized to 128 px are read from the shards, so that nothing is resampled; the split is torch's
randperm; the order of an epoch is core/base/rng.c's permutation; weights are network.py's. Needs h5py.

Usage: training_curve.py SHARDS FILE    (SHARDS: of prep pets-mini presize.size=128 presize.max_aspect=1)
SPDX-License-Identifier: MIT
"""
import json
import math
import sys

import h5py
import numpy as np
import torch
from torch import nn

from network import Net, made_with, words

SEED, BATCH, EPOCHS, RATE, CLASSES = 42, 32, 2, 5e-5, 37
PURPOSE_ORDER = 2  # core/base/rng.h


def read(folder):
    """Pictures (n, 3, 128, 128) normalised, labels and paths, in the order of the paths."""
    rows = []
    with open(f"{folder}/index.json") as file:
        names = [s["file"] for s in json.load(file)["shards"]]
    for name in names:
        with h5py.File(f"{folder}/{name}") as f:
            for row in f["index"][...]:
                path = row["path"].rstrip(b"\0").decode()
                rows.append((int(row["rank"]), int(row["label"]), f["images"][path][...], path))
    rows.sort(key=lambda row: row[0])
    x = torch.from_numpy(np.stack([row[2] for row in rows])).permute(0, 3, 1, 2).float() / 255
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    return ((x - mean) / deviation, torch.tensor([row[1] for row in rows]),
            [row[3] for row in rows])


def permutation(n, epoch):
    """rng_permutation() of core/base/rng.c: Fisher and Yates, Lemire's bounded numbers."""
    draws = iter(words(SEED, PURPOSE_ORDER, 0, n, epoch).ravel().tolist())
    out = list(range(n))
    for i in range(n, 1, -1):
        product = next(draws) * i
        while product % 2**32 < 2**32 % i:
            product = next(draws) * i
        j = product >> 32
        out[i - 1], out[j] = out[j], out[i - 1]
    return out


def cycle(position, start, peak, end):
    def cosine(a, b, p):
        return a + (1 + math.cos(math.pi * (1 - p))) * (b - a) / 2
    return (cosine(start, peak, position / 0.25) if position < 0.25 else
            cosine(peak, end, (position - 0.25) / 0.75))


def curve(x, y, train, dtype):
    net = Net("resnet18", CLASSES, SEED).to(dtype).train()
    optimiser = torch.optim.AdamW([{"params": [p], "weight_decay": 0 if p.dim() == 1 else 0.01}
                                   for p in net.parameters()], eps=1e-5)
    batches = len(train) // BATCH
    for k in range(EPOCHS * batches):
        if k % batches == 0:
            order = train[permutation(len(train), k // batches)]
        rows = order[k % batches * BATCH:][:BATCH]
        loss = nn.functional.cross_entropy(net(x[rows].to(dtype)), y[rows])
        position = k / (EPOCHS * batches)
        for group in optimiser.param_groups:
            group["lr"] = cycle(position, RATE / 25, RATE, RATE / 1e5)
            group["betas"] = (cycle(position, 0.95, 0.85, 0.95), 0.99)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield loss.item()


def main(shards, path):
    x, y, _ = read(shards)
    torch.manual_seed(SEED)
    train = torch.randperm(len(x))[int(0.2 * len(x)):]
    with open(path, "w") as file:
        file.write(made_with("training_curve.py"))
        for k, losses in enumerate(zip(*(curve(x, y, train, t) for t in (torch.float32, torch.float64)))):
            file.write(f"{k} {losses[0]:.7g} {losses[1]:.7g}\n")
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
