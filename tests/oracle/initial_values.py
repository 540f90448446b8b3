#!/usr/bin/env python3
"""Initial weights as core/nn/weights.c draws them, in plain Python (standard library alone).

Philox4x32-10 (Salmon et al. 2011), counter (purpose 1, epoch 0, tensor number, draw), key = seed;
words (0, 1) and (2, 3) of a draw give two normal numbers each (Box and Muller 1958).
Prints the numbers that tests/unit/test_weights.c expects.
SPDX-License-Identifier: MIT
"""
import math
import struct


def philox(seed, counter):
    x, k0, k1 = list(counter), seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [(p1 >> 32) ^ x[1] ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ x[3] ^ k1, p0 & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return x


def normal(seed, tensor, element, std):
    words = philox(seed, (1, 0, tensor, element // 4))
    first = element & 2
    radius = std * math.sqrt(-2 * math.log((words[first] + 1) * 2.0**-32))
    angle = 2 * math.pi * 2.0**-32 * words[first + 1]
    value = radius * (math.sin(angle) if element & 1 else math.cos(angle))
    return struct.unpack("f", struct.pack("f", value))[0]


if __name__ == "__main__":
    std = math.sqrt(2.0 / (64 * 49))  # conv1.weight, tensor 0, kaiming normal over fan_out
    print("conv1.weight, seed 42:", *(f"{normal(42, 0, i, std):.9g}" for i in (0, 1, 2, 9407)))
    std = math.sqrt(2.0 / 512)  # head.3.weight of a resnet18, tensor 109, over fan_in
    print("head.3.weight, seed 42:", *(f"{normal(42, 109, i, std):.9g}" for i in (0, 5)))
