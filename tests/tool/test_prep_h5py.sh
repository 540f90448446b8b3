#!/bin/bash
# test_prep_h5py.sh - an outsider opens a shard by name: h5py gives the pixels, labels and sizes. Needs
# BIN; skipped without h5py. SPDX-License-Identifier: MIT
set -u
export LC_ALL=C
PYTHON=
for p in /usr/bin/python3 python3; do
    $p -c 'import h5py' 2>/dev/null && { PYTHON=$p; break; }
done
[ -n "$PYTHON" ] || { echo "skipped: no h5py (Debian: python3-h5py)"; exit 77; }
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
mkdir -p prep/datasets tree
# Already of the presized size, so that the pixels in the shard are the bytes of the file.
n=0
for name in a/cat_1 a/cat_2 b/dog_1; do
    n=$((n + 1))
    mkdir -p tree/${name%/*}
    { printf 'P6\n40 32\n255\n'; tail -c +$((n * 3000)) "$BIN/prep" | head -c 3840; } >tree/$name.ppm
done
printf "title: h\nroot: $WORK/tree\nlabel: {from: folder}\npresize: {size: 32}\n" >prep/datasets/h.yaml
"$BIN/prep" h --data data 2>err || { cat err; exit 1; }
$PYTHON - <<'END' || exit 1
import h5py, json
index = json.load(open("data/h/shards-32/index.json"))
with h5py.File("data/h/shards-32/" + index["shards"][0]["file"], "r") as f:
    for path, label in (("a/cat_1.ppm", 0), ("a/cat_2.ppm", 0), ("b/dog_1.ppm", 1)):
        d = f["images/" + path]
        assert d.shape == (32, 40, 3) and d.dtype == "uint8", (d.shape, d.dtype)
        want = open("tree/" + path, "rb").read()[-3840:]
        assert d[...].tobytes() == want, path
        row = [r for r in f["index"][...] if r["path"].rstrip(b"\0").decode() == path]
        assert len(row) == 1 and row[0]["label"] == label, row
        assert (row[0]["height"], row[0]["width"]) == (32, 40)
print("ok: h5py", h5py.__version__, "gives the pixels")
END
