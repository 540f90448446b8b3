#!/usr/bin/env python3
"""What scipy says of several seeds: quantiles of Student's t, sign flips, variance over seeds and pictures.

Writes tests/data/repeats.txt, which tests/unit/test_repeats.c reads: one case a line,
    t TAIL DF VALUE
    flip N P D1 ... DN
    table N M MEAN SEED_SD ERROR LOW HIGH SEED_OF_THE_TABLE
A table's cells are made by a linear congruential generator that the test has, too.
Run: pip install numpy scipy; tests/oracle/repeats.py > tests/data/repeats.txt
SPDX-License-Identifier: MIT
"""
import numpy as np
import scipy
from scipy import stats


def cells(n, m, seed):
    """-1, 0 or 1: rows and columns have effects of their own."""
    state, out = seed, np.empty((n, m))
    for s in range(n):
        for i in range(m):
            state = (state * 1103515245 + 12345) % 2**31
            u = (state >> 8) % 100
            out[s, i] = 1 if u < 8 + 3 * (s % 3) + 20 * (i % 7 == 0) else -1 if u > 93 else 0
    return out


def main():
    print(f"# numpy {np.__version__}, scipy {scipy.__version__}; tests/oracle/repeats.py")
    for tail in (0.025, 0.2, 0.0125, 0.005):
        for df in (1, 2, 3, 4, 5, 6, 9, 10, 29, 100):
            print("t", tail, df, repr(float(stats.t.isf(tail, df))))
    rng = np.random.default_rng(1)
    samples = [rng.normal(0.5, 1, n) for n in (2, 3, 4, 5, 6, 7, 10, 12)]
    samples += [rng.integers(-3, 6, n) / 100 for n in (3, 6, 7, 8, 10)]  # with ties and zeros
    for d in samples:
        p = stats.permutation_test((d,), lambda x: abs(x.mean()), permutation_type="samples",
                                   alternative="greater", n_resamples=np.inf).pvalue
        print("flip", len(d), repr(float(p)), *[repr(float(x)) for x in d])
    for n, m, seed in ((2, 5, 1), (3, 40, 2), (7, 100, 3), (10, 300, 4), (12, 2, 5)):
        x = cells(n, m, seed)
        rows, columns, mean = x.mean(1), x.mean(0), x.mean()
        rest = x - rows[:, None] - columns[None, :] + mean
        a, b = rows.var(ddof=1) / n, columns.var(ddof=1) / m
        c = (rest**2).sum() / ((n - 1) * (m - 1)) / (n * m)
        error = np.sqrt(max(a, b, a + b - c))
        low, high = stats.t.interval(0.95, min(n, m) - 1, loc=mean, scale=error)
        print("table", n, m, *[repr(float(v)) for v in (mean, rows.std(ddof=1), error, low, high)],
              seed)


main()
