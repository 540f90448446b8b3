#!/usr/bin/env python3
"""weight_forms.py - which forms of checkpoint files model.weights=FILE takes: writes each with torch, one
after the other, has train load it and compares the weights that training would start from.

Usage: weight_forms.py BIN [FORM...]      BIN: the folder of the tools; prints a table form | expected | got
Status 1 when a form is not as expected. Taken means: run.json's initial_weights is that of the same network
from a plain file; a control (one number changed) must have another.
Needs torch, torchvision's names only. Every file is some 45 MB in a temporary folder and goes after its turn.
SPDX-License-Identifier: MIT
"""
import argparse
import collections
import gzip
import io
import json
import os
import pathlib
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import types
import zipfile

import numpy
import torch

FORMS = {}  # name: (expected, file's ending, writer(path)); expected None: taken, else a text of the refusal


def form(name, expected=None, ending="pth", words=""):
    def keep(write):
        FORMS[name] = (expected, ending, write, words)
        return write
    return keep


# --- a ResNet, without torchvision ---------------------------------------------------------------

def shapes(blocks=(2, 2, 2, 2), first=(64, 3, 7, 7)):
    out = collections.OrderedDict()

    def norm(name, c):
        for part in ("weight", "bias", "running_mean", "running_var"):
            out[f"{name}.{part}"] = (c,)
        out[f"{name}.num_batches_tracked"] = ()

    out["conv1.weight"] = first
    norm("bn1", 64)
    before = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2 ** stage
        for i in range(count):
            at = f"layer{stage + 1}.{i}"
            for k, c in ((1, before), (2, width)):
                out[f"{at}.conv{k}.weight"] = (width, c, 3, 3)
                norm(f"{at}.bn{k}", width)
            if before != width:
                out[f"{at}.downsample.0.weight"] = (width, before, 1, 1)
                norm(f"{at}.downsample.1", width)
            before = width
    out["fc.weight"], out["fc.bias"] = (1000, before), (1000,)
    return out


def state(seed=1, **kind):
    """Numbers that are whole in 16 bits, so that every dtype holds the same."""
    g = torch.Generator().manual_seed(seed)
    out = collections.OrderedDict()
    for name, dims in shapes(**kind).items():
        if name.endswith("num_batches_tracked"):
            out[name] = torch.tensor(7)
        else:
            v = torch.randint(-100, 101, dims, generator=g).float() / 128
            out[name] = v.abs() + 0.25 if name.endswith("running_var") else v
    return out


S = state()
OTHER = state(2)


def rename(prefix="", s=None, keep=lambda n: True):
    return collections.OrderedDict((prefix + n, t) for n, t in (s or S).items() if keep(n))


def cast(dtype, s=None):
    return collections.OrderedDict((n, t.to(dtype) if t.is_floating_point() else t) for n, t in (s or S).items())


def body(n):
    return not n.startswith("fc.")


def fastai(n, at="0."):
    part, rest = n.split(".", 1)
    child = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}.get(part)
    return f"{at}{child}.{rest}" if child is not None else None


def fastai_state(at="0."):
    out = collections.OrderedDict((fastai(n, at), t) for n, t in S.items() if fastai(n, at))
    if at:
        for name, dims in (("1.2.weight", (1024,)), ("1.2.bias", (1024,)), ("1.4.weight", (512, 1024)),
                           ("1.6.weight", (512,)), ("1.6.bias", (512,)), ("1.8.weight", (37, 512))):
            out[name] = torch.zeros(dims)
    return out


def hugging_face():
    out = collections.OrderedDict()
    for n, t in S.items():
        part, rest = n.split(".", 1)
        if part in ("conv1", "bn1"):
            out[f"resnet.embedder.embedder.{'convolution' if part == 'conv1' else 'normalization'}.{rest}"] = t
        elif part == "fc":
            out["classifier.1." + rest] = t
        else:
            block, kind, rest = rest.split(".", 2)
            at = f"resnet.encoder.stages.{int(part[5]) - 1}.layers.{block}."
            if kind == "downsample":
                number, rest = rest.split(".", 1)
                out[at + f"shortcut.{'convolution' if number == '0' else 'normalization'}.{rest}"] = t
            else:
                out[at + f"layer.{int(kind[-1]) - 1}.{'convolution' if kind[0] == 'c' else 'normalization'}.{rest}"] = t
    return out


def optimiser():
    params = [torch.nn.Parameter(torch.zeros(4))]
    o = torch.optim.SGD(params, lr=.1, momentum=.9)
    params[0].grad = torch.ones(4)
    o.step()
    return o.state_dict()


class L(collections.UserList):
    """stands for fastcore.foundation.L"""


class Learner:
    """stands for fastai.learner.Learner"""


def place(cls, module):
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[:i + 1]), types.ModuleType(parts[i]))
    setattr(sys.modules[module], cls.__name__, cls)
    cls.__module__, cls.__qualname__ = module, cls.__name__


place(L, "fastcore.foundation")
place(Learner, "fastai.learner")


class Net(torch.nn.Module):
    """A module tree with a ResNet's names; its forward is not needed."""

    def __init__(self, s=None):
        super().__init__()
        for name, value in (s or S).items():
            *path, last = name.split(".")
            at = self
            for part in path:
                if part not in at._modules:
                    at.add_module(part, torch.nn.Module())
                at = at._modules[part]
            if last in ("weight", "bias"):
                at.register_parameter(last, torch.nn.Parameter(value))
            else:
                at.register_buffer(last, value)

    def forward(self, x):
        return torch.nn.functional.conv2d(x, self.conv1.weight)


def safetensors(path, s, metadata=None):
    kinds = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16",
             torch.int64: "I64", torch.int32: "I32", torch.bool: "BOOL"}
    header, at, blobs = {}, 0, []
    if metadata:
        header["__metadata__"] = metadata
    for name, t in s.items():
        blob = t.contiguous().view(torch.uint8).numpy().tobytes() if t.dim() else struct.pack("<q", int(t))
        header[name] = {"dtype": kinds[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.writelines(blobs)


def saved(name, make, expected=None, words="", **options):
    form(name, expected, "pth", words)(lambda path: torch.save(make(), path, **options))


def safe(name, make, expected=None, metadata=None):
    form(name, expected, "safetensors")(lambda path: safetensors(path, make(), metadata))


# --- the forms: how it is stored -----------------------------------------------------------------
saved("zip, protocol 2", lambda: S)
saved("legacy", lambda: S, _use_new_zipfile_serialization=False)
for protocol in (3, 4, 5):
    saved(f"zip, protocol {protocol}", lambda: S, pickle_protocol=protocol)
saved("legacy, protocol 4", lambda: S, pickle_protocol=4, _use_new_zipfile_serialization=False)
saved("plain dict", lambda: dict(S))
saved("nn.Parameter values", lambda: {n: torch.nn.Parameter(t) if t.is_floating_point() else t for n, t in S.items()})
saved("channels_last", lambda: {n: t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for n, t in S.items()})


@form("views of a larger storage")
def views(path):
    flat = torch.cat([t.reshape(-1).float() for t in S.values()])
    out, at = collections.OrderedDict(), 0
    for n, t in S.items():
        out[n] = flat[at:at + t.numel()].view(t.shape) if t.is_floating_point() else t
        at += t.numel()
    torch.save(out, path)


@form("transposed views")
def transposed(path):
    torch.save({n: t.transpose(0, 1).contiguous().transpose(0, 1) if t.dim() > 1 else t for n, t in S.items()}, path)


def on_cuda(path, legacy):
    """As saved on a GPU: the location in the pickle is cuda:0."""
    torch.save(S, path, _use_new_zipfile_serialization=not legacy)
    data = pathlib.Path(path).read_bytes()
    if legacy:
        data = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
        pathlib.Path(path).write_bytes(data)
        return
    out = io.BytesIO()
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as b:
        for i in a.infolist():
            d = a.read(i)
            b.writestr(i.filename, d.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
                       if i.filename.endswith("data.pkl") else d)
    pathlib.Path(path).write_bytes(out.getvalue())


form("saved on cuda")(lambda path: on_cuda(path, False))
form("saved on cuda, legacy")(lambda path: on_cuda(path, True))
saved("fp16", lambda: cast(torch.float16))
saved("bf16", lambda: cast(torch.bfloat16))
saved("fp64", lambda: cast(torch.float64))
saved("half of it fp16", lambda: {n: t.half() if "conv" in n else t for n, t in S.items()})

# --- names ---------------------------------------------------------------------------------------
for prefix in ("module.", "_orig_mod.", "backbone.", "model.", "encoder_q.", "module.encoder_q.", "net.", "model.net.",
               "encoder.", "feature_extractor."):
    saved(f"prefix {prefix}", lambda prefix=prefix: rename(prefix))
saved("without fc", lambda: rename(keep=body))
saved("without num_batches_tracked", lambda: rename(keep=lambda n: not n.endswith("num_batches_tracked")))
saved("10 classes", lambda: {**S, "fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)})
saved("fastai learn.save", fastai_state)
saved("fastai learn.save with opt",
      lambda: {"model": fastai_state(), "opt": {"state": L([{"mom": torch.zeros(4)}]), "hypers": L([{"lr": .1}])}})
saved("fastai body only", lambda: fastai_state(""))
saved("fastai export", Learner, "fastai export")
saved("SwAV", lambda: {**rename("module.", keep=body), "module.projection_head.0.weight": torch.zeros(4, 4),
                       "module.prototypes.weight": torch.zeros(4, 4)})
saved("MoCo v2", lambda: {"epoch": 200, "arch": "resnet18", "state_dict": {
    **rename("module.encoder_q."), **rename("module.encoder_k.", OTHER), "module.queue": torch.zeros(128, 64),
    "module.queue_ptr": torch.zeros(1, dtype=torch.int64)}, "optimizer": optimiser()})
saved("MoCo v2, encoder_q by name", lambda: {"state_dict": {**rename("module.encoder_k.", OTHER), **rename("module.encoder_q.")}},
      words="model.weights_key=encoder_q")
saved("MoCo v2, encoder_k by name", lambda: {"state_dict": {**rename("module.encoder_q.", OTHER), **rename("module.encoder_k.")}},
      words="model.weights_key=encoder_k")
saved("a network of no such name", lambda: S, "there is no such network", words="model.weights_key=nothing")
saved("Hugging Face", hugging_face)

# --- nesting -------------------------------------------------------------------------------------
for key in ("state_dict", "model", "model_state_dict", "net", "state_dict_ema", "model_ema", "weights"):
    saved(f"below {key}", lambda key=key: {key: S, "epoch": 3})
saved("with optimiser's state", lambda: {"model": S, "optimizer": optimiser(), "epoch": 3})
saved("PyTorch's ImageNet example", lambda: {"epoch": 90, "arch": "resnet18", "state_dict": rename("module."),
                                             "best_acc1": torch.tensor(77.), "optimizer": optimiser(), "scheduler": {}})
saved("PyTorch's tutorial", lambda: {"epoch": 3, "model_state_dict": S, "optimizer_state_dict": optimiser(), "loss": torch.tensor(.5)})
saved("state_dict beside state_dict_ema", lambda: {"state_dict": S, "state_dict_ema": OTHER})
saved("model beside model_ema", lambda: {"model": S, "model_ema": OTHER})
saved("MMPretrain", lambda: {"meta": {"epoch": 1}, "state_dict": {
    **rename("backbone.", keep=body), "head.fc.weight": torch.zeros(10, 512), "head.fc.bias": torch.zeros(10)}})
saved("Lightning", lambda: {"pytorch-lightning_version": "2.5", "state_dict": rename("model."), "hyper_parameters": {"lr": .1},
                            "optimizer_states": [optimiser()], "lr_schedulers": [], "callbacks": {}, "loops": {}})
saved("Lightning, int64 of torchmetrics", lambda: {"state_dict": {**rename("model."), "acc.tp": torch.zeros(3, dtype=torch.int64)}})
saved("Lightning, bool buffer", lambda: {"state_dict": {**rename("net."), "metric.seen": torch.zeros(3, dtype=torch.bool)}})

# --- objects beside it ---------------------------------------------------------------------------
saved("argparse.Namespace", lambda: {"model": S, "args": argparse.Namespace(lr=.1, data="d")})
saved("numpy scalar", lambda: {"model": S, "best": numpy.float64(.5)})
saved("numpy array", lambda: {"model": S, "history": numpy.arange(5.)})
saved("PosixPath", lambda: {"model": S, "out": pathlib.PosixPath("a/b")})
saved("dtype, device", lambda: {"model": S, "dtype": torch.float32, "device": torch.device("cpu")})
saved("int32 beside it", lambda: {"model": S, "steps": torch.zeros(3, dtype=torch.int32)})
saved("a set, a size, a slice", lambda: {"model": S, "a": {1, 2}, "b": torch.Size((1, 2)), "c": slice(1, 2), "d": 1 << 70, "e": 1j})
saved("whole module", Net)
saved("whole module below model", lambda: {"model": Net(), "epoch": 3})


@form("TorchScript", "TorchScript")
def script(path):
    torch.jit.trace(Net(), torch.zeros(1, 3, 32, 32), check_trace=False).save(path)


@form("torch.export", "exported program", "pt2")
def program(path):
    torch.export.save(torch.export.export(Net(), (torch.zeros(1, 3, 32, 32),)), path)


@form("compressed by gzip", "gzip", "pth.gz")
def gzipped(path):
    b = io.BytesIO()
    torch.save(S, b)
    pathlib.Path(path).write_bytes(gzip.compress(b.getvalue(), 1))


form("ONNX", "ONNX", "onnx")(lambda path: pathlib.Path(path).write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x052.2.0" + bytes(4096)))
form("code in it", "refused")(lambda path: torch.save({**S, "x": Evil()}, path))
saved("NaN in it", lambda: {**S, "layer1.0.conv1.weight": torch.full((64, 64, 3, 3), float("nan"))}, "NaN")


class Evil:
    def __reduce__(self):
        return os.system, ("touch must-never-run",)


# --- safetensors ---------------------------------------------------------------------------------
safe("safetensors of torchvision", lambda: S, metadata={"format": "pt"})
safe("safetensors without metadata", lambda: S)
safe("safetensors, prefix model.", lambda: rename("model."))
safe("safetensors of timm", lambda: S, metadata={"format": "pt", "architecture": "resnet18"})
safe("safetensors of Hugging Face", hugging_face)
safe("safetensors fp16", lambda: cast(torch.float16))
safe("safetensors bf16", lambda: cast(torch.bfloat16))
safe("safetensors fp64", lambda: cast(torch.float64))

# --- other networks ------------------------------------------------------------------------------
saved("resnet34", lambda: state(blocks=(3, 4, 6, 3)), "it looks like resnet34")
saved("resnet18d", lambda: {**rename(keep=lambda n: n != "conv1.weight"), "conv1.0.weight": torch.zeros(32, 3, 3, 3),
                            "conv1.3.weight": torch.zeros(32, 32, 3, 3), "conv1.6.weight": torch.zeros(64, 32, 3, 3)}, "conv1")
saved("grey pictures", lambda: state(first=(64, 1, 7, 7)), "conv1.weight")
saved("half is missing", lambda: rename(keep=lambda n: not n.startswith("layer3")), "missing layer3")


# --- what train makes of them --------------------------------------------------------------------

def main():
    binaries, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:] or list(FORMS)
    folder = tempfile.mkdtemp(prefix="weight-forms-")
    os.chdir(folder)
    try:
        return run(binaries, wanted)
    finally:
        os.chdir("/")
        shutil.rmtree(folder)


def load(binaries, path, name, words=""):
    """What training would start from; or the refusal. Ends training as soon as it is on record."""
    with open("err", "w") as err:
        train = subprocess.Popen([f"{binaries}/train", "--exp", "e.yaml", "--data", "data", "--results", "runs",
                                  "--name", name, f"model.weights={path}", *words.split()], stdout=err, stderr=err)
        while train.poll() is None and not os.path.exists(f"runs/{name}/run.json"):
            time.sleep(.02)
        if train.poll() is None:
            train.kill()
        train.wait()
    out = None
    if os.path.exists(f"runs/{name}/run.json"):
        with open(f"runs/{name}/run.json") as f:
            out = json.load(f)["sha256"]["initial_weights"]
        shutil.rmtree(f"runs/{name}")
    why = pathlib.Path("err").read_text().strip().splitlines()
    return out, f"status {train.returncode}: {why[-1] if why else ''}"


def run(binaries, wanted):
    os.makedirs("pictures/a"), os.makedirs("pictures/b")
    for i in range(8):
        for c in "ab":
            pathlib.Path(f"pictures/{c}/{i}.ppm").write_bytes(b"P6 16 16 255\n" + bytes([20 * i + ord(c)] * 768))
    pathlib.Path("set.yaml").write_text("title: t\nroot: pictures\nlabel: {from: folder}\npresize: {size: 16}\n")
    pathlib.Path("e.yaml").write_text(
        "# Which weights?\ndata: {set: set}\nmodel: {arch: resnet18}\n"
        "train: {size: 16, batch: 4, phases: [{kind: one_cycle, epochs: 1, lr: 1e-6}]}\n")
    subprocess.run([f"{binaries}/prep", "-q", "set.yaml", "--data", "data"], check=True, stdout=subprocess.DEVNULL)
    safetensors("plain.safetensors", S)
    safetensors("other.safetensors", {**S, "conv1.weight": S["conv1.weight"] + 1})
    right, why = load(binaries, "plain.safetensors", "plain")
    other, _ = load(binaries, "other.safetensors", "other")
    assert right, why
    assert right != other, "the control: other numbers have the same hash"
    bad = 0
    print(f"{'form':34} | {'expected':24} | got")
    for i, name in enumerate(wanted):
        expected, ending, write, words = FORMS[name]
        path = f"file{i}.{ending}"
        write(path)
        got, why = load(binaries, path, f"r{i}", words)
        os.remove(path)
        text = "taken" if got == right else "taken, OTHER NUMBERS" if got else re.sub(r"file\d+\.", "FILE.", why)
        fits = got == right if expected is None else got is None and expected in why and why.startswith("status 1:")
        bad += not fits
        print(f"{name:34} | {'taken' if expected is None else 'refused: ' + expected:24} | {text}{'' if fits else '   <- NOT AS EXPECTED'}",
              flush=True)
    if os.path.exists("must-never-run"):
        print("a file's code was run")
        bad += 1
    print(f"{len(wanted)} forms, {bad} not as expected")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
