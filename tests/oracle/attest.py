#!/usr/bin/env python3
"""What `eval RUN --export FOLDER --sign KEY.pem` wrote, by its readers: model_signing (OpenSSF, tried with 1.1.1) verifies
model.sig, in-toto-attestation reads model.intoto.json. Controls: a changed file and another key are refused.

Usage: attest.py FOLDER PUBLIC_KEY.pem [OTHER_KEY.pem]
SPDX-License-Identifier: MIT
"""
import json
import pathlib
import shutil
import sys
import tempfile

import model_signing
from google.protobuf import json_format
from in_toto_attestation.v1 import statement, statement_pb2


def verify(folder, key):
    folder = pathlib.Path(folder)
    model_signing.verifying.Config().use_elliptic_key_verifier(public_key=pathlib.Path(key)).set_hashing_config(
        model_signing.hashing.Config().set_ignored_paths(paths=[folder / "model.sig"], ignore_git_paths=True)).verify(
        folder, folder / "model.sig")


def refused(folder, key):
    try:
        verify(folder, key)
    except Exception as error:  # of several kinds
        return str(error)
    raise AssertionError("not refused")


def main(folder, key, other=None):
    verify(folder, key)
    print("model.sig is accepted")
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        with open(copy + "/README.md", "a") as f:
            f.write("changed")
        print("a changed file is refused:", refused(copy, key).splitlines()[0])
    if other:
        print("another key is refused:", refused(folder, other).splitlines()[0])
    with open(folder + "/model.intoto.json") as f:
        read = json_format.Parse(f.read(), statement_pb2.Statement())
    statement.Statement.copy_from_pb(read).validate()
    print("model.intoto.json is a valid statement about", ", ".join(s.name for s in read.subject))


if __name__ == "__main__":
    main(*sys.argv[1:])
