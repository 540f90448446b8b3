#!/usr/bin/env python3
"""Reads what `prep SET --croissant` printed, by mlcroissant (tried with 1.1.1; needs Pillow), and compares the number of
pictures and the classes with the index of the shards.

Usage: croissant.py CROISSANT.json SHARDS-FOLDER      the archive, and a table of labels, lie beside CROISSANT.json
SPDX-License-Identifier: MIT
"""
import json
import sys

import mlcroissant


def main(path, shards):
    set_ = mlcroissant.Dataset(jsonld=path)
    assert not set_.metadata.ctx.issues.errors, set_.metadata.ctx.issues.report()
    index = json.load(open(shards + "/index.json"))
    n, labels = 0, {}
    for record in set_.records("records"):
        n += 1
        label = record["records/label"].decode()
        labels[label] = labels.get(label, 0) + 1
        assert record["records/picture"].size[0] > 0
        if "records/name" not in record:  # no table: the label is in the file's name
            assert record["records/file"].decode().startswith(label)
    assert n == index["count"], (n, index["count"])
    assert sorted(labels) == index["classes"], sorted(labels)
    print(f"{n} pictures, {len(labels)} classes")


if __name__ == "__main__":
    main(*sys.argv[1:])
