"""metrics.py - what scikit-learn, scipy and torchmetrics make of predictions that a formula gives: tests/data/metrics.txt,
read by tests/unit/test_metrics.c, which has the same formula. Where both libraries have a metric they must agree.
Needs torch. SPDX-License-Identifier: MIT"""

import sys

import numpy as np
import scipy
import sklearn
import torch
import torchmetrics
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from torchmetrics import classification as tm

from made_predictions import predictions

CASES = [(240, 7), (30, 2), (105, 37)]  # pictures, a multiple of 15; classes


def ece(actual, p):
    """scikit-learn's bins of equally many pictures; each has the same weight as n is a multiple of 15."""
    right = actual == p.argmax(1)
    true, mean = calibration_curve(right, p.max(1), n_bins=15, strategy="quantile")
    assert len(true) == 15
    return np.abs(true - mean).mean()


def values(actual, p):
    n, classes = p.shape
    p = p.astype(np.float64)
    p /= p.sum(1, keepdims=True)
    labels, predicted = np.arange(classes), p.argmax(1)
    out = {
        "top5_accuracy": sk.top_k_accuracy_score(actual, p, k=5, labels=labels) if classes > 5 else 1.0,
        "balanced_accuracy": sk.balanced_accuracy_score(actual, predicted),
        "macro_f1": sk.f1_score(actual, predicted, average="macro"),
        "mcc": sk.matthews_corrcoef(actual, predicted),
        "log_loss": sk.log_loss(actual, p, labels=labels),
        "brier": ((p - np.eye(classes)[actual]) ** 2).sum(1).mean(),
        "ece": ece(actual, p),
    }
    if classes > 2:
        assert abs(out["brier"] - sk.brier_score_loss(actual, p, labels=labels, scale_by_half=False)) < 1e-12
    t, a = torch.from_numpy(p), torch.from_numpy(actual)
    others = {"mcc": tm.MulticlassMatthewsCorrCoef(classes), "macro_f1": tm.MulticlassF1Score(classes, average="macro")}
    for name, metric in others.items():
        assert abs(metric(t, a).item() - out[name]) < 1e-6, (name, metric(t, a), out[name])
    logits = np.log(p)
    loss = lambda log_t: -log_softmax(logits / np.exp(log_t), axis=1)[np.arange(n), actual].mean()
    fit = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-12})
    out["temperature"], out["scaled_log_loss"] = np.exp(fit.x), fit.fun
    out["scaled_ece"] = ece(actual, softmax(logits / np.exp(fit.x), axis=1))
    return out


print(f"# made by tests/oracle/metrics.py with scikit-learn {sklearn.__version__}, scipy {scipy.__version__}, "
      f"torchmetrics {torchmetrics.__version__}, torch {torch.__version__}, numpy {np.__version__}, "
      f"Python {sys.version.split()[0]}")
for n, classes in CASES:
    for name, value in values(*predictions(n, classes)).items():
        print(n, classes, name, f"{value:.12g}")
