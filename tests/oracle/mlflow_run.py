#!/usr/bin/env python3
"""Reads what `eval RUN --export mlflow STORE` wrote by MLflow's own client (tried with 3.17.2), and compares the
parameters with params.yaml, and the losses, error rate and rates of every epoch with metrics.jsonl. Needs PyYAML. MLflow 3.17 reads file stores only with MLFLOW_ALLOW_FILE_STORE=true.

Usage: mlflow_run.py STORE RUN-FOLDER
SPDX-License-Identifier: MIT
"""
import json
import os
import sys

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
import yaml
from mlflow import MlflowClient  # after the variable


def flat(tree, at=""):
    """Maps and lists of maps as dotted names."""
    if isinstance(tree, dict):
        parts = tree.items()
    elif isinstance(tree, list) and tree and isinstance(tree[0], dict):
        parts = enumerate(tree)
    else:
        return {at[:-1]: tree}
    return {key: value for name, part in parts for key, value in flat(part, f"{at}{name}.").items()}


def main(store, folder):
    client = MlflowClient("file://" + os.path.abspath(store))
    experiments = client.search_experiments()
    runs = client.search_runs([e.experiment_id for e in experiments], filter_string=f"tags.mlflow.runName = '{os.path.basename(folder)}'")
    assert len(runs) == 1, runs
    run, record = runs[0], json.load(open(folder + "/run.json"))
    assert client.get_experiment(run.info.experiment_id).name == record["set"]
    assert run.info.status == "FINISHED" and run.info.start_time < run.info.end_time
    params = flat(yaml.load(open(folder + "/params.yaml"), yaml.BaseLoader))
    for key, value in run.data.params.items():
        assert key not in params or isinstance(params[key], list) or value == params[key], (key, value, params[key])
    assert {key for key, value in params.items() if value not in ("", [])} <= set(run.data.params)
    n = 0
    for name in ("train_loss", "valid_loss", "error_rate", "lr", "lr_first"):
        history = sorted(client.get_metric_history(run.info.run_id, name), key=lambda m: m.step)
        expected = [json.loads(line)[name] for line in open(folder + "/metrics.jsonl")]
        assert [m.value for m in history] == expected, (name, history, expected)
        assert [m.step for m in history] == list(range(len(expected)))
        n += len(history)
    files = {a.path for a in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "predictions.csv", "resolved.yaml"} <= files, files
    print(f"{len(run.data.params)} parameters, {len(run.data.metrics)} metrics, {n} values compared, {len(files)} files")


if __name__ == "__main__":
    main(*sys.argv[1:])
