"""Probabilities of exports against those of their run: usage: onnx_probabilities.py EXPORT FILE.onnx PREDICTIONS.h5
PICTURES

`eval RUN --export EXPORT` made the folder and `eval RUN --export FILE.onnx` the file. PREDICTIONS.h5 is the run's,
PICTURES the folder that its ids are below (DATA/SET/tree/images). The code blocks of EXPORT/README.md are run as they stand: the first, with onnxruntime, on every
picture file; the last, with PyTorch, where torch, torchvision and safetensors are installed. Prints the largest
difference of a probability; fails above 1e-4. Needs onnx, onnxruntime, pillow, numpy, h5py. (Not called onnx.py: the
script could not import onnx then.) SPDX-License-Identifier: MIT
"""
import os
import re
import sys
import tempfile

import h5py
import numpy as np
import onnx

LIMIT = 1e-4
HEAD_NORMS = 2  # batch norms that follow no convolution
export, alone, predictions, pictures = (os.path.abspath(p) for p in sys.argv[1:5])
os.chdir(export)


def kinds_of(model):
    kinds = [node.op_type for node in model.graph.node]
    return {kind: kinds.count(kind) for kind in ("Conv", "BatchNormalization")}


for path in ("model.onnx", alone):
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    print(f"onnx {onnx.__version__}: {os.path.basename(path)}: {os.path.getsize(path)} bytes, opset "
          f"{model.opset_import[0].version}, {kinds_of(model)}; metadata "
          f"{', '.join(e.key for e in model.metadata_props)}")
assert kinds_of(model)["BatchNormalization"] == HEAD_NORMS  # the others are folded
weights = os.path.getsize("model.safetensors")
beyond = sum(os.path.getsize(f) for f in os.listdir("."))
print(f"the folder is {beyond / weights:.4f} x the weights")
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

# The same pixels through the file alone; and onnxruntime folds the batch norms of the folder's model by itself.
options = card["onnxruntime"].SessionOptions()
options.graph_optimization_level = card["onnxruntime"].GraphOptimizationLevel.ORT_ENABLE_BASIC
with tempfile.TemporaryDirectory() as scratch:
    options.optimized_model_filepath = os.path.join(scratch, "optimised.onnx")
    card["onnxruntime"].InferenceSession("model.onnx", options)
    optimised = kinds_of(onnx.load(options.optimized_model_filepath, load_external_data=False))
print(f"model.onnx as onnxruntime runs it: {optimised}")
assert optimised["BatchNormalization"] == HEAD_NORMS
session = card["onnxruntime"].InferenceSession(alone)
own = np.concatenate([session.run(None, {"image": np.stack([card["pixels"](f) for f in files[i : i + 16]])})[0]
                      for i in range(0, len(files), 16)])


def compare(name, values):
    off = np.abs(values - expected).max()
    same = (values.argmax(1) == expected.argmax(1)).sum()
    print(f"{name}: {len(ids)} pictures, {same} with the same label, largest difference {off:.2g}")
    return off


worst = max(compare(f"onnxruntime {card['onnxruntime'].__version__}, the folder", got),
            compare("the file alone", own))
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
