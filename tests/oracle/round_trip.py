#!/usr/bin/env python3
"""A checkpoint of presize in torchvision: names, shapes and what the network makes of pictures.

Reads RUN/checkpoints/last.safetensors of a run on pictures that were presized square to the size it
trained at (so that validation resamples nothing, see training_curve.py), drops head.*, loads the rest
into torchvision's network with strict=True, and computes the validation pictures' probabilities from
its features and head.*. FILE gets how far they are from RUN/predictions.h5. Needs h5py.

Usage: round_trip.py RUN SHARDS FILE
SPDX-License-Identifier: MIT
"""
import json
import sys

import h5py
import numpy as np
import torch

from network import Net, made_with
from training_curve import read

DTYPES = {"F32": np.float32, "I64": np.int64}


def safetensors(path):
    """The tensors of a file by name; the format in five lines."""
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: torch.from_numpy(np.frombuffer(data[8 + size:], np.uint8)[slice(*t["data_offsets"])]
                                   .view(DTYPES[t["dtype"]]).reshape(t["shape"]).copy())
            for name, t in header.items()}


def main(run, shards, path):
    with open(f"{run}/checkpoints/last.json") as file:
        facts = json.load(file)
    with h5py.File(f"{run}/predictions.h5") as file:
        ids = [i.rstrip(b"\0").decode() for i in file["ids"][...]]
        ours = torch.from_numpy(file["prob"][...])
        classes = len(file["vocab"])
    tensors = safetensors(f"{run}/checkpoints/last.safetensors")
    body = {n: t for n, t in tensors.items() if not n.startswith("head.")}
    net = Net(facts["arch"], classes).eval()
    net.body.load_state_dict(body, strict=True)  # raises on a name or shape too many or too few
    net.head.load_state_dict({n.removeprefix("head."): t for n, t in tensors.items() if n not in body},
                             strict=True)
    x, _, paths = read(shards)
    with torch.no_grad():
        features = net.features(x[[paths.index(i) for i in ids]])
        theirs = net.classify(features).softmax(1)
    with open(path, "w") as file:
        file.write(made_with("round_trip.py"))
        file.write(f"{facts['arch']}, {facts['epochs']} epochs: {len(body)} tensors loaded with strict=True, "
                   f"num_batches_tracked {body['bn1.num_batches_tracked'].item()} of {facts['steps']} steps\n"
                   f"pictures {len(ids)}, features of {features.shape[1]} channels, standard deviation "
                   f"{features.std().item():.3g}\n"
                   f"probabilities off by at most {(ours - theirs).abs().max().item():.2g}, "
                   f"relative {((ours - theirs).abs() / theirs).max().item():.2g}\n"
                   f"same label {(ours.argmax(1) == theirs.argmax(1)).sum().item()} of {len(ids)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
