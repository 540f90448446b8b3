"""made_predictions.py - the predictions of tests/unit/test_metrics.c, by the same formula. Needs numpy.
SPDX-License-Identifier: MIT"""

import numpy as np


def predictions(n, classes):
    """Labels and float32 probabilities; class 5 has no picture."""
    x, p, actual = 12345 + classes, np.zeros((n, classes), np.float32), np.zeros(n, np.int64)
    for i in range(n):
        actual[i] = 0 if i % classes == 5 else i % classes
        w = np.zeros(classes, np.float32)
        for c in range(classes):
            x = (x * 1664525 + 1013904223) % 2**32
            v = x >> 16 & 1023
            w[c] = (1 + (v * v >> 6)) * (4 if c == actual[i] else 1)
        p[i] = w / w.sum(dtype=np.float32)
    return actual, p
