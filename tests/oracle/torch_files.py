#!/usr/bin/env python3
"""Writes the .pth files of tests/data that tests/unit/test_torchfile.c reads.

Made with torch 2.2.2 (torch_small.pth: 2.15.0), Python 3.11. Usage: torch_files.py FOLDER
SPDX-License-Identifier: MIT
"""
import collections
import os
import sys

import torch


class Evil:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


def main(folder):
    base = torch.arange(24, dtype=torch.float32) / 8
    shared = base.reshape(2, 3, 4)
    state = collections.OrderedDict()
    state["conv1.weight"] = shared
    state["turned"] = shared.permute(2, 0, 1)  # strides (1, 12, 4)
    state["tail"] = base[20:]
    state["empty"] = torch.zeros(0, 5)
    state["half"] = torch.tensor([1.0, -2.5, 65504.0, 2.0**-24], dtype=torch.float16)
    state["brain"] = torch.tensor([1.0, -2.5, 3.0e38], dtype=torch.bfloat16)
    state["bn1.num_batches_tracked"] = torch.tensor(1234567890123)
    state["parameter"] = torch.nn.Parameter(torch.full((2, 2), 0.5))
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    for name, zipped in (("zip", True), ("plain", False)):
        torch.save(state, f"{folder}/torch_{name}.pth", _use_new_zipfile_serialization=zipped)
        evil = {"conv1.weight": base, "hook": Evil()}
        torch.save(evil, f"{folder}/torch_evil_{name}.pth", _use_new_zipfile_serialization=zipped)
    torch.save({"epoch": 3, "loss": 0.5, "state_dict": {"a": base[:2]}}, f"{folder}/torch_inner.pth")
    torch.save({"a": base[:4].reshape(2, 2)[1]}, f"{folder}/torch_small.pth",
               _use_new_zipfile_serialization=False)
    torch.save({"a": torch.zeros(2, dtype=torch.float64)}, f"{folder}/torch_double.pth")


if __name__ == "__main__":
    main(sys.argv[1])
