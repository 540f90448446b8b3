#!/usr/bin/env python3
"""Class activation maps (Grad-CAM on the last block) of ResNet-18 and 50, by autograd, in double.

Writes tests/data/cam.txt for tests/unit/test_cam.c, which draws the same weights (seed 42, decide_clearly) and pictures
by Philox (seed 3, 72 px), with running statistics as they are at the beginning. Lines are `ARCH PICTURE CLASS VALUES`:
the map, row by row, 3 x 3, scaled as pytorch-grad-cam scales it before it is enlarged.

With pytorch-grad-cam installed (pip install grad-cam) and --check, its GradCAM must give the same maps.

Usage: cam.py FILE [--check]
SPDX-License-Identifier: MIT
"""
import sys

import torch

from network import CLASSES, Net, decide_clearly, made_with, pictures

SEED, SIZE = 3, 72


def grad_cam(net, x, label):
    features = net.features(x)
    gradient, = torch.autograd.grad(net.classify(features)[0, label], features)
    weights = gradient.mean((2, 3), keepdim=True)
    cam = torch.relu((weights * features).sum(1))[0].detach()
    cam = cam - cam.min()
    return cam / (1e-7 + cam.max())


def check(net, x, label, mine):
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    with GradCAM(model=net, target_layers=[net.body.layer4[-1]]) as cam:
        cam.get_target_width_height = lambda tensor: (mine.shape[1], mine.shape[0])  # not enlarged
        theirs = torch.from_numpy(cam(input_tensor=x, targets=[ClassifierOutputTarget(label)])[0])
    worst = (theirs - mine).abs().max().item()
    assert worst < 1e-5, worst  # it scales twice, in fp32
    return worst


def main(path, *options):
    worst = 0
    with open(path, "w") as file:
        file.write(made_with("cam.py"))
        for arch in ("resnet18", "resnet50"):
            net = decide_clearly(Net(arch)).double().eval()
            for i in range(2):
                x = pictures(SEED, SIZE)[i:i + 1].double()
                for label in range(CLASSES):
                    cam = grad_cam(net, x, label)
                    if "--check" in options:
                        worst = max(worst, check(net, x, label, cam))
                    file.write(f"{arch} {i} {label} " + " ".join(f"{v:.6f}" for v in cam.flatten().tolist()) + "\n")
    if "--check" in options:
        print(f"pytorch-grad-cam agrees, largest difference {worst:.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
