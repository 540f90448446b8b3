#!/usr/bin/env python3
"""Writes a .pth with a ResNet's names and shapes as torch.save would, without torch, and checks the
safetensors file that fetch makes of it. All tensors are views of one storage of known numbers, so
that the file stays small.

Usage: resnet_pth.py write FILE ARCH [FAULT]     FAULT: evil, lying, missing, extra, misshapen,
                                                 unfinite, or a form (no fault): prefix or one of FORMS
       resnet_pth.py forms FOLDER                small files of all FORMS: tests/data/form_*.pth
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
          "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3), "wide_resnet50_2": (3, 4, 6, 3),
          "resnext50_32x4d": (3, 4, 6, 3), "resnet20": (3, 3, 3), "resnet32": (5, 5, 5)}
GROUPS = {"resnext50_32x4d": (32, 4), "wide_resnet50_2": (1, 128)}  # of a 3x3, and its width per group


def numbers_of(arch):
    """As many as its largest tensor has, and where that may begin."""
    return 1200 if arch == "tiny" else max(map(product, shapes(arch).values())) + 1000



def module(name, **members):
    if "." in name and name.rsplit(".", 1)[0] not in sys.modules:
        module(name.rsplit(".", 1)[0])
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


class DoubleStorage:
    pass


class BoolStorage:
    pass


class UntypedStorage:  # of float8, uint16 and the like
    pass


class Size(tuple):
    def __reduce__(self):
        return Size, (tuple(self),)


class ResNet:  # a module as pickle sees it: a class that is not looked up, and attributes
    pass


class Learner:
    pass


class Script:  # a module of torch.jit: its class is among the program's code
    pass


module("torch", FloatStorage=FloatStorage, LongStorage=LongStorage, DoubleStorage=DoubleStorage,
       BoolStorage=BoolStorage, Size=Size)
module("torchvision.models.resnet", ResNet=ResNet)
module("fastai.learner", Learner=Learner)
module("__torch__", Script=Script)
module("torch.storage", UntypedStorage=UntypedStorage)
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
    if arch == "tiny":
        names = ("bn1", "layer1.0.bn1", "layer2.0.downsample.1")
        out = {"conv1.weight": (1, 3, 7, 7), "layer1.0.conv1.weight": (1, 1, 1, 1),
               "layer2.0.downsample.0.weight": (1, 1, 1, 1), "fc.weight": (1, 1)}
        out.update({f"{name}.{part}": (1,) for name in names for part in ("weight", "running_mean")})
        out["bn1.num_batches_tracked"] = ()
        return out
    small = len(BLOCKS[arch]) == 3  # for pictures of 32 px
    deep = not small and arch not in ("resnet18", "resnet34")
    first = 16 if small else 64
    groups, each = GROUPS.get(arch, (1, 64))
    out = {}

    def norm(name, c):
        for part in ("weight", "bias", "running_mean", "running_var"):
            out[f"{name}.{part}"] = (c,)
        out[f"{name}.num_batches_tracked"] = ()

    out["conv1.weight"] = (first, 3, 3, 3) if small else (first, 3, 7, 7)
    norm("bn1", first)
    before = first
    for stage, count in enumerate(BLOCKS[arch]):
        after = first * 2 ** stage * (4 if deep else 1)
        width = 2 ** stage * each * groups if deep else after
        for i in range(count):
            at = f"layer{stage + 1}.{i}"
            plan = ([(before, width, 1), (width // groups, width, 3), (width, after, 1)] if deep else
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


def fastai(name, body_only=False):
    part, rest = name.split(".", 1)
    child = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}.get(part)
    if child is None:
        return None if body_only else "1.8." + rest  # its head has another shape, but is not looked at
    return ("" if body_only else "0.") + f"{child}.{rest}"


def hugging_face(name):
    part, rest = name.split(".", 1)
    if part in ("conv1", "bn1"):
        return f"resnet.embedder.embedder.{'convolution' if part == 'conv1' else 'normalization'}.{rest}"
    if part == "fc":
        return "classifier.1." + rest
    block, kind, rest = rest.split(".", 2)
    at = f"resnet.encoder.stages.{int(part[5]) - 1}.layers.{block}."
    if kind == "downsample":
        number, rest = rest.split(".", 1)
        return at + f"shortcut.{'normalization' if number == '1' else 'convolution'}.{rest}"
    return at + f"layer.{int(kind[-1]) - 1}.{'convolution' if kind[0] == 'c' else 'normalization'}.{rest}"


def renamed(state, rename):
    return {rename(name): value for name, value in state.items() if rename(name)}


def whole_module(state):
    """The attributes that torch.nn.Module keeps, as torch.save(model) writes them."""
    root = {}
    for name, value in state.items():
        *path, last = name.split(".")
        at = root
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value

    def build(tree):
        m = ResNet()
        leaves = {k: v for k, v in tree.items() if not isinstance(v, dict)}
        buffers = [k for k in leaves if k.startswith("running") or k.startswith("num_")]
        m.__dict__.update(
            training=True, _parameters={k: v for k, v in leaves.items() if k not in buffers},
            _buffers={k: v for k, v in leaves.items() if k in buffers}, _hooks=collections.OrderedDict(),
            _modules={k: build(v) for k, v in tree.items() if isinstance(v, dict)})
        return m
    return build(root)


def imagenet_example(state, floats):
    import argparse
    import pathlib
    return {"epoch": 90, "arch": "resnet18", "state_dict": renamed(state, lambda n: "module." + n),
            "best_acc1": Tensor(floats, 0, ()), "args": argparse.Namespace(lr=.1, data="d"),
            "where": pathlib.PurePosixPath("a/b"), "shape": Size((1, 2)), "z": 1j, "classes": {1, 2},
            "bytes": bytearray(b"x"), "big": 1 << 70,
            "optimizer": {"state": {0: {"momentum_buffer": Tensor(floats, 0, (4,))}},
                          "param_groups": [{"lr": .1, "params": [0]}]}}


FORMS = {
    "net": lambda s, f: {"net": renamed(s, lambda n: "module." + n), "acc": 95., "epoch": 3},
    "tutorial": lambda s, f: {"epoch": 3, "model_state_dict": s, "loss": Tensor(f, 0, ())},
    "imagenet": imagenet_example,
    "ema": lambda s, f: {"state_dict_ema": {n: Tensor(f, 0, t.dims) if t.dims else t for n, t in s.items()},
                         "state_dict": s},
    "swav": lambda s, f: {**renamed(s, lambda n: "module." + n),
                          "module.projection_head.0.weight": Tensor(f, 0, (4, 4)),
                          "module.prototypes.weight": Tensor(f, 0, (4, 4))},
    "lightning": lambda s, f: {
        "pytorch-lightning_version": "2", "hyper_parameters": {"lr": .1}, "callbacks": {},
        "state_dict": {**renamed(s, lambda n: "model.net." + n),
                       "metric.seen": Tensor(Storage(BoolStorage, "2", 1), 0, (1,))}},
    "fastai": lambda s, f: renamed(s, fastai),
    "fastai_opt": lambda s, f: {"model": renamed(s, fastai), "opt": {"state": [], "hypers": [{"lr": .1}]}},
    "fastai_body": lambda s, f: renamed(s, lambda n: fastai(n, True)),
    "hugging_face": lambda s, f: renamed(s, hugging_face),
    "whole_module": lambda s, f: whole_module(s),
    # all made float by {k: v.float() for k, v in ...}, beside a tensor of numbers that are not read
    "counters": lambda s, f: {"state_dict": {n: t if t.dims else Tensor(f, 7, ()) for n, t in s.items()},
                              "scales": Tensor(Storage(UntypedStorage, "2", 1), 0, (1,))},
    "protocol5": lambda s, f: s,
    "double": lambda s, f: s,
    "export": lambda s, f: Learner(),
    "script": lambda s, f: Script(),
}


def forms(folder):
    for form in FORMS:
        write(f"{folder}/form_{form}.pth", "tiny", form)


def write(path, arch, fault=""):
    n = numbers_of(arch)
    floats = Storage(DoubleStorage if fault == "double" else FloatStorage, "0", n)
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
    numbers = array.array("d" if fault == "double" else "f", range(n))
    if fault == "unfinite":
        numbers[2000] = float("nan")
    numbers = numbers.tobytes()
    if fault in FORMS:
        state = FORMS[fault](state, floats)
    text = io.BytesIO()
    Pickler(text, 5 if fault == "protocol5" else 2).dump(state)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        for name, data in (("data.pkl", text.getvalue()),
                           ("data/0", numbers[:1000] if fault == "lying" else numbers),
                           ("data/1", (7).to_bytes(8, "little")), ("data/2", b"\1"), ("version", b"3\n")):
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
    want = {name: dims for name, dims in want.items() if name in header or not name.startswith("fc.")}
    assert set(header) == set(want), "names"
    numbers = memoryview(array.array("f", range(numbers_of(arch)))).cast("B")
    for name, dims in want.items():
        t = header[name]
        begin, end = t["data_offsets"]
        first = 4 * offset_of(name)
        right = numbers[first:first + 4 * product(dims)] if dims else (7).to_bytes(8, "little")
        assert t["shape"] == list(dims) and t["dtype"] == ("F32" if dims else "I64"), name
        assert begin % (4 if dims else 8) == 0, f"{name} is not aligned"
        assert body[begin:end] == right, f"{name} has other numbers"


if __name__ == "__main__":
    {"write": write, "check": check, "forms": forms}[sys.argv[1]](*sys.argv[2:])
