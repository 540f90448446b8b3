#!/usr/bin/env python3
"""Reads what `eval RUN --export mlflow STORE` wrote by MLflow's own client (tried with 3.17.2), and compares every value with
the run's metrics.jsonl and params.yaml. MLflow 3.17 reads file stores only with MLFLOW_ALLOW_FILE_STORE=true.

Usage: mlflow_run.py STORE RUN-FOLDER
SPDX-License-Identifier: MIT
"""
import json
import os
import sys

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
from mlflow import MlflowClient  # after the variable


def main(store, folder):
    client = MlflowClient("file://" + os.path.abspath(store))
    experiments = client.search_experiments()
    runs = client.search_runs([e.experiment_id for e in experiments], filter_string=f"tags.mlflow.runName = '{os.path.basename(folder)}'")
    assert len(runs) == 1, runs
    run, record = runs[0], json.load(open(folder + "/run.json"))
    assert client.get_experiment(run.info.experiment_id).name == record["set"]
    assert run.info.status == "FINISHED" and run.info.start_time < run.info.end_time
    params = dict(line.rstrip("\n").split(": ", 1) for line in open(folder + "/params.yaml"))
    assert run.data.params["optim.lr"] == params["optim.lr"] and run.data.params["train.size"] == params["train.size"]
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
