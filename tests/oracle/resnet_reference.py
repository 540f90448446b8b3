#!/usr/bin/env python3
"""Loss, probabilities and gradient norms of torchvision's ResNets with fastai's head, in double.

Made with torch 2.2.2, torchvision 0.17.2. Weights are those of initial_values.py (seed 42), pictures
are uniform in [-2, 2) from Philox counter (10, 0, 0, element / 4), seed 7; both are drawn again by
tests/unit/test_reference.c, so that none are stored. No dropout. Usage: resnet_reference.py FILE
SPDX-License-Identifier: MIT
"""
import sys

import numpy as np
import torch
import torchvision
from torch import nn

BATCH, SIZE, CLASSES = 8, 96, 5


def words(seed, purpose, position, n):
    """n words of Philox4x32-10, four per draw."""
    mask = np.uint64(0xFFFFFFFF)
    x = [np.full(n, purpose, np.uint64), np.zeros(n, np.uint64), np.full(n, position, np.uint64),
         np.arange(n, dtype=np.uint64)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [(p1 >> np.uint64(32)) ^ x[1] ^ np.uint64(k0), p1 & mask,
             (p0 >> np.uint64(32)) ^ x[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(x, 1).astype(np.float64)


def normal(tensor, shape, std):
    n = int(np.prod(shape))
    w = words(42, 1, tensor, (n + 3) // 4).reshape(-1, 2)
    radius = std * np.sqrt(-2 * np.log((w[:, 0] + 1) * 2.0**-32))
    angle = 2 * np.pi * 2.0**-32 * w[:, 1]
    v = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()[:n]
    return torch.from_numpy(v.astype(np.float32)).double().reshape(shape)


class Net(nn.Module):
    def __init__(self, arch):
        super().__init__()
        self.body = getattr(torchvision.models, arch)(weights=None)
        features = self.body.fc.in_features
        self.body.fc = nn.Identity()
        self.head = nn.Sequential(nn.BatchNorm1d(2 * features), nn.Linear(2 * features, 512, bias=False),
                                  nn.BatchNorm1d(512), nn.Linear(512, CLASSES, bias=False))
        position = 0
        for name, t in self.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if t.dim() == 4:
                t.copy_(normal(position, t.shape, (2 / (t.shape[0] * t.shape[2] * t.shape[3])) ** 0.5))
            elif t.dim() == 2:
                t.copy_(normal(position, t.shape, (2 / t.shape[1]) ** 0.5))
            elif name.startswith("head") and name.endswith("bias"):
                t.fill_(float(np.float32(1e-3)))
            position += 1

    def forward(self, x):
        b = self.body
        x = b.layer4(b.layer3(b.layer2(b.layer1(b.maxpool(b.relu(b.bn1(b.conv1(x))))))))
        x = self.head[1](self.head[0](torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1)))
        return self.head[3](self.head[2](torch.relu(x)))


def main(path):
    n = BATCH * 3 * SIZE * SIZE
    x = (words(7, 10, 0, n // 4).ravel() * 2.0**-32 * 4 - 2).astype(np.float32)
    x = torch.from_numpy(x).double().reshape(BATCH, 3, SIZE, SIZE)
    y = torch.arange(BATCH) % CLASSES
    with open(path, "w") as file:
        for arch in ("resnet18", "resnet34", "resnet50"):
            net = Net(arch).double().train()
            logits = net(x)
            loss = nn.functional.cross_entropy(logits, y)
            loss.backward()
            file.write(f"{arch} loss {loss.item():.9g}\n")
            for i, v in enumerate(logits.softmax(1).flatten().tolist()):
                file.write(f"{arch} prob.{i} {v:.9g}\n")
            for name, p in net.named_parameters():
                name = name.removeprefix("body.")
                file.write(f"{arch} {name} {p.grad.norm().item():.9g}\n")
            for name in ("bn1", "layer4.0.downsample.1", "layer4.1.bn2"):
                var = net.state_dict()[f"body.{name}.running_var"]
                file.write(f"{arch} {name}.running_var {var.norm().item():.9g}\n")


if __name__ == "__main__":
    main(sys.argv[1])
