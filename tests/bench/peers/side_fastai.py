#!/usr/bin/env python3
# side_fastai.py - the chapter's job in small by fastai, for comparison with build/bin/bench_job.
#
#   side_fastai.py FOLDER [EPOCHS]     FOLDER has images/: data/pets-mini/tree after `fetch pets-mini --from ARCHIVE`
#
# resnet34 from random weights, fine_tune(EPOCHS) (2 unless said), batch 64, 224 px after Resize(460), a fifth of the
# pictures to validate on: as bench_job has it. Prints the seconds, and pictures trained per second of the whole.
# SPDX-License-Identifier: MIT
import pathlib
import sys
import time

from fastai.vision.all import (
    CategoryBlock, DataBlock, ImageBlock, RandomSplitter, RegexLabeller, Resize, aug_transforms,
    error_rate, get_image_files, resnet34, using_attr, vision_learner)

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "")
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 2
if not (folder / "images").is_dir():
    sys.exit(f"side_fastai.py: no folder {folder / 'images'}\nusage: side_fastai.py FOLDER [EPOCHS]")

block = DataBlock(
    blocks=(ImageBlock, CategoryBlock),
    get_items=get_image_files,
    splitter=RandomSplitter(seed=42),
    get_y=using_attr(RegexLabeller(r"(.+)_\d+.jpg$"), "name"),
    item_tfms=Resize(460),
    batch_tfms=aug_transforms(size=224, min_scale=0.75))
loaders = block.dataloaders(folder / "images", bs=64)
learner = vision_learner(loaders, resnet34, pretrained=False, metrics=error_rate)
# fastai freezes by itself with pretrained weights alone
learner.freeze()

begin = time.perf_counter()
learner.fine_tune(epochs)
seconds = time.perf_counter() - begin
pictures = len(loaders.train) * 64 * (epochs + 1)
print(f"fastai: {seconds:.1f} s, {pictures / seconds:.1f} pictures trained per second, {pictures} pictures")
