#!/usr/bin/env python3
"""What cleanlab calls a label issue, and in which order, on made probabilities.

Each case: classes, pictures, a share of wrong labels, how sure the network is. Probabilities have six
decimals, so that a text gives the same doubles to everyone. In each case some pictures have equal
probabilities of the given and of another label, and one case has a class without pictures.

Writes FILE: a line `case NAME N CLASSES`, then a line per picture:
    given likely rank p...
where likely is 1 for filter.find_label_issues(filter_by="confident_learning"), and rank the place in
the list of the issues in the order of their scores ("self_confidence"), followed by the others in that
order.

Usage: confident.py FILE
SPDX-License-Identifier: MIT
"""
import platform
import sys

import cleanlab
import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

CASES = [  # name, classes, pictures, wrong, sharpness, empty class
    ("usual", 6, 150, 0.1, 3.0, False),
    ("two", 2, 100, 0.15, 1.5, False),
    ("unsure", 5, 120, 0.05, 0.5, False),
    ("many", 20, 90, 0.1, 4.0, True),
]


def made(rng, classes, n, wrong, sharpness, empty):
    true = rng.integers(0, classes - empty, n)
    true[: classes - empty] = np.arange(classes - empty)
    given = true.copy()
    for i in np.flatnonzero(rng.random(n) < wrong):
        given[i] = (given[i] + rng.integers(1, classes - empty)) % (classes - empty)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), true] += sharpness
    prob = np.exp(logits)
    prob = np.round(prob / prob.sum(axis=1, keepdims=True), 6)
    for i in range(0, 12, 3):  # the given label as probable as the best, or just less
        best = prob[i].argmax()
        prob[i, given[i]] = np.round(prob[i, best] - (i % 2) * 1e-6, 6)
    return given, prob


def main():
    rng = np.random.default_rng(2021)
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        print(f"# made by tests/oracle/confident.py with cleanlab {cleanlab.__version__}, "
              f"numpy {np.__version__}, Python {platform.python_version()}", file=out)
        for name, classes, n, wrong, sharpness, empty in CASES:
            given, prob = made(rng, classes, n, wrong, sharpness, empty)
            scores = get_label_quality_scores(given, prob, method="self_confidence")
            assert len(set(scores)) == n, "equal scores: their order is anyone's"
            kwargs = {"filter_by": "confident_learning", "n_jobs": 1}
            mask = find_label_issues(given, prob, **kwargs)
            ranked = find_label_issues(given, prob, return_indices_ranked_by="self_confidence", **kwargs)
            order = list(ranked) + [i for i in np.argsort(scores) if not mask[i]]
            rank = np.argsort(order)
            print(f"{name}: {mask.sum()} of {n}", file=sys.stderr)
            print(f"case {name} {n} {classes}", file=out)
            for i in range(n):
                print(given[i], int(mask[i]), rank[i], *(f"{p:g}" if p < 1e-4 else f"{p:.6f}".rstrip("0")
                                                         for p in prob[i]), file=out)


main()
