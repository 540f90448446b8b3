"""augmentation.py - what torchvision and Pillow make of colours, places and rectangles: tests/data/augmentation.txt, read
by tests/unit/test_colours.c and tests/unit/test_policy.c, which has the same picture. Needs torch, torchvision and Pillow.
SPDX-License-Identifier: MIT"""

import hashlib
import math

import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomErasing, TrivialAugmentWide
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

WIDTH, HEIGHT, SIDE = 61, 46, 224


def numbers(seed):
    while True:
        seed = (seed * 1664525 + 1013904223) % 2**32
        yield seed >> 16


def picture():
    """Noise on slopes, its levels within 20 to 219."""
    r = numbers(7)
    return bytes(
        20 + (3 * x + 2 * y + 40 * c + next(r) % 64) % 200 for y in range(HEIGHT) for x in range(WIDTH) for c in range(3)
    )


def operations():
    for kind, (name, (strengths, signed)) in enumerate(TrivialAugmentWide()._augmentation_space(31).items()):
        bins = range(len(strengths)) if strengths.ndim > 0 else [0]
        for i in bins:
            for negative in range(2 if signed else 1):
                strength = float(strengths[i]) if strengths.ndim > 0 else 0.0
                yield kind, name, i, negative, -strength if negative else strength


def values():
    source = Image.frombytes("RGB", (WIDTH, HEIGHT), picture())
    for kind, name, i, negative, strength in operations():
        if name in ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"):
            continue
        out = _apply_op(source, name, strength, InterpolationMode.NEAREST, None)
        print("value", kind, i, negative, hashlib.sha256(out.tobytes()).hexdigest()[:16])


def places():
    """Which source pixel an output pixel shows: red is its column, green its row, blue is 0 outside."""
    source = Image.frombytes("RGB", (SIDE, SIDE), bytes(v for y in range(SIDE) for x in range(SIDE) for v in (x, y, 255)))
    r = numbers(11)
    for kind, name, i, negative, strength in operations():
        if name not in ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate") or i % 6 != 0:
            continue
        out, found = _apply_op(source, name, strength, InterpolationMode.NEAREST, None), 0
        while found < 3:
            at = next(r) % SIDE, next(r) % SIDE
            x, y, inside = out.getpixel(at)
            if inside:
                print("place", kind, i, negative, *at, x, y)
                found += 1


def colours():
    r = numbers(13)
    for i in range(60):
        saturation, hue = next(r) % 2001 / 1000, next(r) % 1001 / 1000 - 0.5
        rgb = [next(r) % 1025 / 1024 for _ in range(3)]
        if i % 5 == 0:
            rgb = [rgb[0], rgb[1], rgb[1]] if i % 2 else [rgb[0]] * 3
        x = torch.tensor(rgb).reshape(3, 1, 1)
        out = F.adjust_hue(F.adjust_saturation(x, saturation), hue).flatten().tolist()
        print("colour", saturation, f"{hue:.3f}", *rgb, *(f"{v:.7f}" for v in out))


def rectangles(n=200000):
    """Means over n draws and their standard errors: share of the area, log of height over width, height, row."""
    torch.manual_seed(1)
    x, rows = torch.empty(3, SIDE, SIDE), []
    for _ in range(n):
        top, left, h, w, _ = RandomErasing.get_params(x, (0.02, 0.33), (0.3, 3.3), [0.0])
        rows.append((h * w / SIDE**2, math.log(h / w), h, top))
    t = torch.tensor(rows, dtype=torch.float64)
    for k, name in enumerate(("area", "ratio", "height", "top")):
        print("rectangle", name, f"{t[:, k].mean():.6f}", f"{t[:, k].std() / n**0.5:.6f}")


if __name__ == "__main__":
    print("# tests/oracle/augmentation.py: torchvision", torchvision.__version__, "Pillow", PIL.__version__)
    values()
    places()
    colours()
    rectangles()
