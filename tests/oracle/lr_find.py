#!/usr/bin/env python3
"""What the four rules of fastai's lr_find say of two made-up curves, in numpy (1.24).

Prints the rates that tests/unit/test_lr_find.c expects: index of the point, rate.
SPDX-License-Identifier: MIT
"""
import numpy as np

STEPS = 100


def curve(n, middle, wobble):
    i = np.arange(n)
    return (3.6 - 1.5 / (1 + np.exp(-(i - middle) / 5)) + wobble * np.sin(1.7 * i)
            + np.exp((i - 93) / 2))


def valley(lrs, losses):
    lengths = np.ones(len(losses), dtype=int)
    for i in range(1, len(losses)):
        falls = lengths[:i][losses[:i] > losses[i]]
        lengths[i] = 1 + (falls.max() if len(falls) else 0)
    end = int(lengths.argmax())
    start = end - int(lengths[end]) if end else 0
    third = (end - start) / 3
    return start + int(third) + int(third / 2)


def slide(lrs, losses):
    slope = np.gradient(losses)
    right, left = -1, -16
    found = left
    while left >= -len(losses) and abs(slope[right] - slope[left]) > 0.005:
        found = left
        right -= 1
        left -= 1
    return len(losses) + found


def steep(lrs, losses):
    return int((np.diff(losses) / np.diff(np.log(lrs))).argmin())


for n, middle, wobble in ((98, 60, 0.0), (97, 45, 0.03)):
    lrs = 1e-7 * 1e8 ** (np.arange(n) / STEPS)
    losses = curve(n, middle, wobble)
    lrs, losses = lrs[STEPS // 10:-5], losses[STEPS // 10:-5]
    for name, rule, scale in (("valley", valley, 1), ("slide", slide, 1),
                              ("minimum", lambda _, y: int(y.argmin()), 0.1), ("steep", steep, 1)):
        k = rule(lrs, losses)
        print(f"{n} points, middle {middle}, wobble {wobble}: {name:8} point {k + 10:3} "
              f"rate {lrs[k] * scale:.10e}")
