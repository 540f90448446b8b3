#!/usr/bin/env python3
"""Writes a .pth with a ResNet's names and shapes as torch.save would, without torch, and checks the
safetensors file that fetch makes of it. All tensors are views of one storage of known numbers, so
that the file stays small.

Usage: resnet_pth.py write FILE ARCH [FAULT]     FAULT: evil, lying, missing, extra, misshapen
                                                 or prefix (no fault: module. before each name)
       resnet_pth.py check FILE.safetensors ARCH SOURCE SHA256
Written for Python 3.9 and later, its standard library alone.
SPDX-License-Identifier: MIT
"""
import array
import collections
import hashlib
import io
import json
import os
import pickle
import sys
import types
import zipfile

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3),
          "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
NUMBERS = 512 * 512 * 9 + 1000


def module(name, **members):
    m = types.ModuleType(name)
    for key, value in members.items():
        value.__module__, value.__qualname__, value.__name__ = name, key, key
        setattr(m, key, value)
    sys.modules[name] = m
    return m


def rebuild(*args):
    raise NotImplementedError


class FloatStorage:
    pass


class LongStorage:
    pass


module("torch", FloatStorage=FloatStorage, LongStorage=LongStorage)
module("torch._utils", _rebuild_tensor_v2=rebuild)


class Storage:
    def __init__(self, kind, key, n):
        self.kind, self.key, self.n = kind, key, n


class Tensor:
    def __init__(self, storage, offset, dims):
        self.storage, self.offset, self.dims = storage, offset, tuple(dims)

    def __reduce__(self):
        strides, step = [], 1
        for d in reversed(self.dims):
            strides.insert(0, step)
            step *= d
        return rebuild, (self.storage, self.offset, self.dims, tuple(strides), False,
                         collections.OrderedDict())


class Evil:
    def __reduce__(self):
        return os.system, ("touch must-never-run",)


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return "storage", obj.kind, obj.key, "cpu", obj.n
        return None


def shapes(arch):
    deep = arch in ("resnet50", "resnet101", "resnet152")
    out = {}

    def norm(name, c):
        for part in ("weight", "bias", "running_mean", "running_var"):
            out[f"{name}.{part}"] = (c,)
        out[f"{name}.num_batches_tracked"] = ()

    out["conv1.weight"] = (64, 3, 7, 7)
    norm("bn1", 64)
    before = 64
    for stage, count in enumerate(BLOCKS[arch]):
        width = 64 * 2 ** stage
        after = 4 * width if deep else width
        for i in range(count):
            at = f"layer{stage + 1}.{i}"
            plan = ([(before, width, 1), (width, width, 3), (width, after, 1)] if deep else
                    [(before, width, 3), (width, width, 3)])
            for k, (c_in, c_out, px) in enumerate(plan, 1):
                out[f"{at}.conv{k}.weight"] = (c_out, c_in, px, px)
                norm(f"{at}.bn{k}", c_out)
            if before != after:
                out[f"{at}.downsample.0.weight"] = (after, before, 1, 1)
                norm(f"{at}.downsample.1", after)
            before = after
    out["fc.weight"] = (10, before)  # torchvision's have 1000 classes
    out["fc.bias"] = (10,)
    return out


def product(dims):
    n = 1
    for d in dims:
        n *= d
    return n


def offset_of(name):
    return sum(name.encode()) % 1000


def write(path, arch, fault=""):
    floats = Storage(FloatStorage, "0", NUMBERS)
    counts = Storage(LongStorage, "1", 1)
    state = collections.OrderedDict()
    for name, dims in shapes(arch).items():
        if fault == "missing" and name == "layer3.1.bn2.running_var":
            continue
        if fault == "misshapen" and name == "layer2.0.conv1.weight":
            dims = dims[:2] + (1, 1)
        full = "module." + name if fault == "prefix" else name
        state[full] = (Tensor(floats, offset_of(name), dims) if dims else Tensor(counts, 0, ()))
    if fault == "extra":
        state["layer4.1.se.weight"] = Tensor(floats, 0, (4,))
    if fault == "evil":
        state["hook"] = Evil()
    numbers = array.array("f", range(NUMBERS)).tobytes()
    text = io.BytesIO()
    Pickler(text, 2).dump(state)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        for name, data in (("data.pkl", text.getvalue()),
                           ("data/0", numbers[:1000] if fault == "lying" else numbers),
                           ("data/1", (7).to_bytes(8, "little")), ("version", b"3\n")):
            z.writestr(zipfile.ZipInfo(f"archive/{name}"), data)


def check(path, arch, source, sha256):
    data = open(path, "rb").read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    body = memoryview(data)[8 + size:]
    assert header.pop("__metadata__") == {
        "format": "pt", "presize": "weights 1", "arch": arch, "source": source,
        "source_sha256": sha256, "data_sha256": hashlib.sha256(body).hexdigest()}, "metadata"
    want = shapes(arch)
    assert set(header) == set(want), "names"
    numbers = memoryview(array.array("f", range(NUMBERS))).cast("B")
    for name, dims in want.items():
        t = header[name]
        begin, end = t["data_offsets"]
        first = 4 * offset_of(name)
        right = numbers[first:first + 4 * product(dims)] if dims else (7).to_bytes(8, "little")
        assert t["shape"] == list(dims) and t["dtype"] == ("F32" if dims else "I64"), name
        assert begin % (4 if dims else 8) == 0, f"{name} is not aligned"
        assert body[begin:end] == right, f"{name} has other numbers"


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])
