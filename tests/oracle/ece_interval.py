"""ece_interval.py - the interval of the calibration error in plain Python: tests/data/ece_interval.txt, read by
tests/unit/test_metrics.c, which has the same predictions. Needs numpy; draws are Philox's as core/base/rng.c has them.

With --coverage, how often this interval and the percentile interval cover the calibration error of simulated
predictions. SPDX-License-Identifier: MIT"""

import sys

import numpy as np

from initial_values import philox
from made_predictions import predictions

BINS, BOOTSTRAP = 15, 6


def ece(confidence, correct):
    """Over pictures in rising order of confidence, the last axis."""
    n, off = confidence.shape[-1], confidence - correct
    return sum(abs(off[..., b].sum(-1)) for b in np.array_split(np.arange(n), min(n, BINS))) / n


def words(epoch, position):
    draw = 0
    while True:
        yield from philox(0, (BOOTSTRAP, epoch, position, draw))
        draw += 1


def below(stream, n):
    """Lemire 2019."""
    while True:
        product = next(stream) * n
        if product % 2**32 >= 2**32 % n:
            return product >> 32


def interval(confidence, correct, rounds):
    n, value = len(confidence), ece(confidence, correct)
    resampled, calibrated = [], []
    for r in range(rounds):
        stream = words(3, r)
        at = np.sort([below(stream, n) for _ in range(n)])
        resampled.append(ece(confidence[at], correct[at]))
        stream = words(4, r)
        outcome = np.array([next(stream) / 2**32 for _ in range(n)]) < confidence
        calibrated.append(ece(confidence, outcome))
    return ends(value, resampled, calibrated)


def ends(value, resampled, calibrated):
    low, high = 2 * value - np.quantile(resampled, [0.975, 0.025])
    return 0.0 if low < 0 or value <= np.quantile(calibrated, 0.975) else low, min(max(high, 0.0), 1.0)


def coverage(cases=120, rounds=200):
    """Confidences from a Beta distribution; the network is right less often than it says, by SHIFT."""
    rng = np.random.default_rng(1)
    many = rng.beta(6, 1.2, 400000) * 0.9 + 0.1
    for shift in (0, 0.01, 0.03, 0.06, 0.1, 0.2):
        for n in (138, 500, 1478):
            truth, own, percentile = np.minimum(shift, many).mean(), 0, 0
            for _ in range(cases):
                c = np.sort(rng.beta(6, 1.2, n) * 0.9 + 0.1)
                right = (rng.random(n) < np.clip(c - shift, 0, 1)).astype(float)
                at = np.sort(rng.integers(0, n, (rounds, n)), 1)
                resampled, outcome = ece(c[at], right[at]), rng.random((rounds, n)) < c
                low, high = ends(ece(c, right), resampled, ece(np.broadcast_to(c, outcome.shape), outcome))
                own += low <= truth <= high
                low, high = np.quantile(resampled, [0.025, 0.975])
                percentile += low <= truth <= high
            print(f"error {truth:.4f}, {n} pictures: {own / cases:.2f}; percentile {percentile / cases:.2f}", flush=True)


if __name__ == "__main__":
    if "--coverage" in sys.argv:
        sys.exit(coverage())
    print("# tests/oracle/ece_interval.py, numpy", np.__version__)
    for n, classes in ((240, 7), (30, 2), (105, 37), (9, 3)):
        actual, p = predictions(n, classes)
        top = p.max(1).astype(float)
        order = np.lexsort((np.arange(n), top))
        low, high = interval(top[order], (actual == p.argmax(1))[order].astype(float), 1000)
        print(n, classes, f"{low:.9f}", f"{high:.9f}")
