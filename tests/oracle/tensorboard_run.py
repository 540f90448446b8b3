#!/usr/bin/env python3
"""Reads a run's events files by TensorBoard's own EventAccumulator (tried with 2.21), and compares the validation scalars with
metrics.jsonl. The picture of the confusion matrix must be a PNG of the size that is written beside it.

Usage: tensorboard_run.py RUN-FOLDER [FILE.png]    FILE.png: the picture, to look at
SPDX-License-Identifier: MIT
"""
import json
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(folder, file=None):
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    lines = [json.loads(line) for line in open(folder + "/metrics.jsonl")]
    for tag, member in (("valid/loss", "valid_loss"), ("valid/error_rate", "error_rate"), ("valid/accuracy", "accuracy")):
        values = [s.value for s in events.Scalars(tag)]
        wanted = [struct.unpack("f", struct.pack("f", line[member]))[0] for line in lines]
        assert values == wanted, (tag, values, wanted)
    assert events.Tags()["images"] == ["confusion_matrix"], events.Tags()
    images = events.Images("confusion_matrix")
    png = images[-1].encoded_image_string
    assert png.startswith(b"\x89PNG") and struct.unpack(">II", png[16:24]) == (images[-1].width, images[-1].height)
    assert images[-1].step == events.Scalars("valid/loss")[-1].step
    if file:
        open(file, "wb").write(png)
    print(f"{len(lines)} epochs; the confusion matrix is a PNG of {images[-1].width} x {images[-1].height} pixels, {len(png)} bytes")


main(*sys.argv[1:])
