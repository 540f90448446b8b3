#!/bin/bash
# test_prep_h5py.sh - an outsider opens a shard by name: h5py (and Pillow, of storage jpeg) gives the pixels, labels and
# sizes. Needs BIN and SOURCE; skipped without h5py. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
PYTHON=
for p in /usr/bin/python3 python3; do
    $p -c 'import h5py' 2>/dev/null && { PYTHON=$p; break; }
done
[ -n "$PYTHON" ] || skip "no h5py (Debian: python3-h5py)"
mkdir -p prep/datasets tree
# Already of the presized size, so that the pixels in the shard are the bytes of the file.
n=0
for name in a/cat_1 a/cat_2 b/dog_1; do
    n=$((n + 1))
    mkdir -p tree/${name%/*}
    { printf 'P6\n40 32\n255\n'; tail -c +$((n * 3000)) "$BIN/prep" | head -c 3840; } >tree/$name.ppm
done
printf "title: h\nroot: $scratch/tree\nlabel: {from: folder}\npresize: {size: 32}\n" >prep/datasets/h.yaml
for storage in raw jpeg; do
    "$BIN/prep" h --data $storage shard.storage=$storage >out 2>err || { cat err; exit 1; }
done
# --- the reader of docs/formats.md, as it stands there, on each
sed -n '/^import h5py, io, json/,/^```/p' "$SOURCE/docs/formats.md" | grep -v '^```' >reader.py
grep -q 'def pictures' reader.py || { echo "FAIL: no reader in docs/formats.md"; exit 1; }
$PYTHON - <<'END' || exit 1
import sys
sys.path.insert(0, ".")
try:
    import PIL
except ImportError:
    PIL = None
    print("skipped for jpeg: no Pillow (Debian: python3-pil)")
from reader import pictures
import h5py, json
import numpy as np
for storage in ("raw", "jpeg") if PIL else ("raw",):
    folder = storage + "/h/shards-32/"
    found = {path: (label, picture) for path, label, picture in pictures(folder)}
    for path, label in (("a/cat_1.ppm", "a"), ("a/cat_2.ppm", "a"), ("b/dog_1.ppm", "b")):
        want = np.frombuffer(open("tree/" + path, "rb").read()[-3840:], np.uint8).reshape(32, 40, 3)
        got = found.pop(path)
        assert got[0] == label and got[1].shape == (32, 40, 3) and got[1].dtype == "uint8", (path, got)
        off = np.abs(got[1].astype(int) - want)
        assert off.max() == 0 if storage == "raw" else 0 < off.mean() < 8, (storage, path, off.mean())
    assert not found, found
    index = json.load(open(folder + "index.json"))
    with h5py.File(folder + index["shards"][0]["file"], "r") as f:
        for row in f["index"][...]:
            d = f["images/" + row["path"].rstrip(b"\0").decode()]
            assert d.shape == ((32, 40, 3) if storage == "raw" else (row["stored"],)), (storage, d.shape)
            assert (row["height"], row["width"]) == (32, 40)
            if storage == "jpeg":
                assert bytes(d[:2]) == b"\xff\xd8" and bytes(d[-2:]) == b"\xff\xd9"
print("ok: h5py", h5py.__version__, "gives the pixels")
END
