"""torchvision's ResNets with fastai's head, weights and pictures drawn as presize draws them.

Shared by the scripts beside it; needs torch and torchvision (each output file names their versions).
SPDX-License-Identifier: MIT
"""
import sys

import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

BATCH, CLASSES = 8, 5
PURPOSE_INIT, PURPOSE_TEST = 1, 10  # core/base/rng.h


def words(seed, purpose, position, n, epoch=0):
    """n draws of Philox4x32-10, four words each: counter (purpose, epoch, position, draw)."""
    mask = np.uint64(0xFFFFFFFF)
    x = [np.full(n, v, np.uint64) for v in (purpose, epoch, position)] + [np.arange(n, dtype=np.uint64)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [(p1 >> np.uint64(32)) ^ x[1] ^ np.uint64(k0), p1 & mask,
             (p0 >> np.uint64(32)) ^ x[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(x, 1)


def normal(seed, tensor, shape, std):
    """Initial values as core/nn/weights.c draws them (initial_values.py has the same in plain Python)."""
    n = int(np.prod(shape))
    w = words(seed, PURPOSE_INIT, tensor, (n + 3) // 4).astype(np.float64).reshape(-1, 2)
    radius = std * np.sqrt(-2 * np.log((w[:, 0] + 1) * 2.0**-32))
    angle = 2 * np.pi * 2.0**-32 * w[:, 1]
    v = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()[:n]
    return torch.from_numpy(v.astype(np.float32)).reshape(shape)


def pictures(seed, size):
    """(BATCH, 3, size, size), uniform in [-2, 2), exact in fp32."""
    n = BATCH * 3 * size * size
    x = words(seed, PURPOSE_TEST, 0, n // 4).ravel()
    return torch.from_numpy((x * 2.0**-32 * 4 - 2).astype(np.float32)).reshape(BATCH, 3, size, size)


def labels():
    return torch.arange(BATCH) % CLASSES


def signs(n):
    """n numbers +1 or -1: bit i of the words of (PURPOSE_TEST, position 1) under seed 7."""
    w = words(7, PURPOSE_TEST, 1, (n + 127) // 128).astype("<u4").view(np.uint8)
    return torch.from_numpy(np.unpackbits(w.ravel(), bitorder="little")[:n] * 2.0 - 1)


class Small(nn.Module):
    """He et al. 2016, section 4.2, for pictures of 32 px, from torchvision's blocks: three layers of N."""

    def __init__(self, n):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity()
        self.layer1, self.layer2, self.layer3 = self.layer(n, 16, 16, 1), self.layer(n, 16, 32, 2), self.layer(n, 32, 64, 2)
        self.layer4 = nn.Identity()
        self.fc = nn.Linear(64, CLASSES)

    @staticmethod
    def layer(n, c, k, stride):
        down = nn.Sequential(nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k)) if stride > 1 else None
        return nn.Sequential(*(BasicBlock(k if i else c, k, 1 if i else stride, None if i else down) for i in range(n)))


SMALL = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9}


class Net(nn.Module):
    """body: torchvision's or a Small one, its fc dropped; head: concat pool (max first), norm, linear, relu, norm,
    linear, without dropout. The bits of a fresh presize network of that seed."""

    def __init__(self, arch, classes=CLASSES, seed=42):
        super().__init__()
        self.body = Small(SMALL[arch]) if arch in SMALL else getattr(torchvision.models, arch)(weights=None)
        features = self.body.fc.in_features
        self.body.fc = nn.Identity()
        self.head = nn.Sequential(nn.BatchNorm1d(2 * features), nn.Linear(2 * features, 512, bias=False),
                                  nn.BatchNorm1d(512), nn.Linear(512, classes, bias=False))
        position = 0
        for name, t in self.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if t.dim() == 4:
                t.copy_(normal(seed, position, t.shape, (2 / (t.shape[0] * t.shape[2] * t.shape[3])) ** 0.5))
            elif t.dim() == 2:
                t.copy_(normal(seed, position, t.shape, (2 / t.shape[1]) ** 0.5))
            elif name.startswith("head") and name.endswith("bias"):
                t.fill_(1e-3)
            position += 1

    def forward(self, x):
        return self.classify(self.features(x))

    def features(self, x):
        b = self.body
        return b.layer4(b.layer3(b.layer2(b.layer1(b.maxpool(b.relu(b.bn1(b.conv1(x))))))))

    def classify(self, x):
        x = torch.cat([self.peak(x.flatten(2)), x.mean((2, 3))], 1)
        return self.head[3](self.head[2](self.relu(self.head[1](self.head[0](x)))))

    peak = staticmethod(lambda x: x.amax(2))
    relu = staticmethod(torch.relu)


def decide_clearly(net):
    """The conditions of the reference files: each block adds a quarter of its branch, and the norms
    inside a block push their outputs off zero, so that few values are near where ReLU decides.
    tests/unit/test_reference.c does the same."""
    for module in net.body.modules():
        norms = [n for n in ("bn1", "bn2", "bn3") if hasattr(module, n)]
        if hasattr(module, "downsample"):
            nn.init.constant_(getattr(module, norms[-1]).weight, 0.25)
            for name in norms[:-1]:
                nn.init.constant_(getattr(module, name).bias, 2)
    return net


def plain_name(name):
    return name.removeprefix("body.")


def made_with(script):
    return (f"# made by tests/oracle/{script} with torch {torch.__version__}, torchvision "
            f"{torchvision.__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}\n")
