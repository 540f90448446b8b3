"""Probabilities of an export against those of its run: usage: onnx_probabilities.py EXPORT PREDICTIONS.h5 PICTURES

EXPORT is what `eval RUN --export EXPORT` made, PREDICTIONS.h5 the run's, PICTURES the folder that its ids are below
(DATA/SET/tree/images). The code blocks of EXPORT/README.md are run as they stand: the first, with onnxruntime, on every
picture file; the last, with PyTorch, where torch, torchvision and safetensors are installed. Prints the largest
difference of a probability; fails above 1e-4. Needs onnx, onnxruntime, pillow, numpy, h5py. (Not called onnx.py: the
script could not import onnx then.) SPDX-License-Identifier: MIT
"""
import os
import re
import sys

import h5py
import numpy as np
import onnx

LIMIT = 1e-4
export, predictions, pictures = (os.path.abspath(p) for p in sys.argv[1:4])
os.chdir(export)

model = onnx.load("model.onnx")
onnx.checker.check_model(model, full_check=True)
kinds = [node.op_type for node in model.graph.node]
beyond = sum(os.path.getsize(f) for f in os.listdir(".") if f != "model.onnx")
weights = sum(4 * np.prod(t.dims) for t in model.graph.initializer)
print(f"onnx {onnx.__version__}: opset {model.opset_import[0].version}, {len(kinds)} nodes, "
      f"{kinds.count('Conv')} Conv, {kinds.count('BatchNormalization')} BatchNormalization; metadata "
      f"{', '.join(e.key for e in model.metadata_props)}; beyond model.onnx {beyond / weights:.4f} x the weights")
assert beyond <= 1.05 * weights

with h5py.File(predictions) as f:
    ids = [i.decode() if isinstance(i, bytes) else i for i in f["ids"][:]]
    expected = f["prob"][:]
files = [os.path.join(pictures, i) for i in ids]

with open("README.md", encoding="utf-8") as f:
    blocks = re.findall(r"^```python\n(.*?)^```$", f.read(), re.S | re.M)
assert len(blocks) == 3, len(blocks)
card = {}
exec(blocks[0], card)
got = np.concatenate([card["predict"](files[i : i + 16]) for i in range(0, len(files), 16)])
exec(blocks[1].replace("picture.jpg", files[0]), card)


def compare(name, values):
    off = np.abs(values - expected).max()
    same = (values.argmax(1) == expected.argmax(1)).sum()
    print(f"{name}: {len(ids)} pictures, {same} with the same label, largest difference {off:.2g}")
    return off


worst = compare(f"onnxruntime {card['onnxruntime'].__version__}", got)
control = np.stack([card["pixels"](f)[::-1] for f in files])  # blue for red
wrong = card["session"].run(None, {"image": control})[0]
assert np.abs(wrong - expected).max() > LIMIT, "control: wrong colours make no difference"
try:
    exec(blocks[2], card)
except ImportError as missing:
    print(f"PyTorch: not tried, {missing}")
else:
    torch = card["torch"]
    with torch.no_grad():
        x = torch.from_numpy(np.stack([card["pixels"](f) for f in files]))
        worst = max(worst, compare(f"torch {torch.__version__}", card["model"](x).softmax(1).numpy()))
sys.exit(int(worst > LIMIT))
