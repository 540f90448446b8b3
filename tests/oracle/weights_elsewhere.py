#!/usr/bin/env python3
"""Runs the code blocks of docs/weights-elsewhere.md as they stand, and its line for timm: exports, signs and verifies, adds
the run to a store of MLflow and asks mlflow's server for it. (onnx_probabilities.py runs those of an export's README.md.)
Tried with timm 1.0.31, torch 2.15.0, model_signing 1.1.1, MLflow 3.17.2. `pip install` lines are not run; a program or
library that is not there is named.

Usage: weights_elsewhere.py BIN RUN-FOLDER    (BIN: the folder of the tools; the run is a resnet18)
SPDX-License-Identifier: MIT
"""
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "weights-elsewhere.md")


def blocks(text):
    """Lines of each block that is indented by four, without remarks."""
    for block in re.findall(r"(?:^    .+\n)+", text, re.M):
        yield [line.split("  #")[0].strip() for line in block.splitlines()]


def serve(line, store):
    """`mlflow ui`, which never ends: its server must have the run that was added."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(f"{line} --port {port}", shell=True, start_new_session=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/api/2.0/mlflow/"

    def ask(what, body):
        question = urllib.request.Request(address + what, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(question, timeout=60))

    try:
        for attempt in range(90):
            try:
                found = ask("experiments/search", {"max_results": 10})["experiments"]
                break
            except OSError:
                time.sleep(1)
        runs = ask("runs/search", {"experiment_ids": [e["experiment_id"] for e in found]})["runs"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    assert len(runs) == 1, runs
    return runs[0]["info"]["run_name"]


def run_block(lines, tools, run):
    """In the present folder."""
    results, name = os.path.split(os.path.abspath(run))
    folder = "store" if "mlflow" in " ".join(lines) else "export"
    for line in lines:
        program = line.split()[1 if "=" in line.split()[0] else 0]
        if line.startswith("pip install"):
            continue
        line = line.replace("bin/eval RUN", f"{tools}/eval --results {results} {name}")
        line = line.replace("FILE.onnx", "alone.onnx").replace("DIR", folder)
        if not program.startswith("bin/") and not shutil.which(program):
            print(f"not run, no {program}: {line}")
            continue
        if program == "mlflow":
            print(f"{serve(line, folder)} is in mlflow's server: {line}")
            continue
        answer = subprocess.run(line, shell=True, text=True, capture_output=True)
        assert answer.returncode == 0, (line, answer.stdout, answer.stderr)
        print(f"runs: {line}")


def body_in_timm(line):
    """The weights of the body as timm loads them are those of the file; a control is another network."""
    missing = [m for m in ("timm", "torch", "safetensors") if not importlib.util.find_spec(m)]
    if missing:
        print(f"not run, no {', '.join(missing)}: {line}")
        return
    import timm
    import torch
    from safetensors.torch import load_file

    model, weights = eval(line, {"timm": timm}), load_file("model.safetensors")
    state = model.state_dict()
    body = [key for key in weights if not key.startswith("head.")]
    assert sorted(body) == sorted(state), set(body) ^ set(state)
    assert all(torch.equal(state[key], weights[key]) for key in body)
    other = timm.create_model("resnet18", num_classes=0).state_dict()
    assert not torch.equal(other["conv1.weight"], weights["conv1.weight"]), "control: every network is equal"
    with torch.no_grad():
        print(f"timm {timm.__version__} has the body: {len(body)} tensors, features", tuple(model(torch.zeros(1, 3, 64, 64)).shape))


def main(tools, run):
    tools, run = os.path.abspath(tools), os.path.abspath(run)
    with open(PAGE, encoding="utf-8") as f:
        text = f.read()
    lines = re.findall(r"`(timm\.create_model\([^`]*)`", text)
    found = list(blocks(text))
    assert len(lines) == 1 and len(found) == 3, (lines, found)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for block in found:
            run_block(block, tools, run)
        os.chdir("export")
        body_in_timm(lines[0])
        os.chdir("/")


if __name__ == "__main__":
    main(*sys.argv[1:])
