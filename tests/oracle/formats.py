"""formats.py - what Pillow 13.0 makes of TIFF, BMP and PPM files of many forms: the table of
tests/unit/test_formats.c, whose files are made by the same rules. Needs Pillow and numpy.
SPDX-License-Identifier: MIT"""

import hashlib
import io
import struct

import numpy as np
from PIL import Image

W, H = 24, 19


def data(n, start=0):
    """Bytes of a formula: the same in C."""
    i = np.arange(start, start + n, dtype=np.uint64)
    return ((i * 2654435761 >> 11) & 255).astype(np.uint8).tobytes()


def tiff(depth, samples, photometric, planar, sample_format, extra, big, tile, lsb):
    e = ">" if big else "<"
    planes = samples if planar == 2 else 1
    each = 1 if planar == 2 else samples
    if tile:
        across, down = (W + 15) // 16, (H + 15) // 16
        sizes = [16 * depth * each // 8 * 16] * (across * down * planes)
    else:
        sizes = [(W * depth * each + 7) // 8 * H] * planes
    tags = {256: (4, [W]), 257: (4, [H]), 258: (3, [depth] * samples), 259: (3, [1]),
            262: (3, [photometric]), 277: (3, [samples]), 284: (3, [planar]),
            339: (3, [sample_format] * samples)}
    if lsb:
        tags[266] = (3, [2])
    if extra >= 0:
        tags[338] = (3, [extra])
    if photometric == 3:
        tags[320] = (3, [v * 257 % 65536 for v in data(3 << depth, 7)])
    offsets = [8 + sum(sizes[:i]) for i in range(len(sizes))]
    if tile:
        tags[322], tags[323], tags[324], tags[325] = (4, [16]), (4, [16]), (4, offsets), (4, sizes)
    else:
        tags[278], tags[273], tags[279] = (4, [H]), (4, offsets), (4, sizes)
    ifd = 8 + sum(sizes)
    entries, more, at = b"", b"", ifd + 2 + 12 * len(tags) + 4
    for tag in sorted(tags):
        kind, values = tags[tag]
        raw = b"".join(struct.pack(e + ("H" if kind == 3 else "I"), v) for v in values)
        entries += struct.pack(e + "HHI", tag, kind, len(values))
        if len(raw) <= 4:
            entries += raw.ljust(4, b"\0")
        else:
            entries += struct.pack(e + "I", at + len(more))
            more += raw
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(e + "I", ifd)
    return (head + data(sum(sizes)) + struct.pack(e + "H", len(tags)) + entries + b"\0\0\0\0" + more)


def bmp(depth, compression, core, masks):
    body = data((W * depth + 31) // 32 * 4 * H)
    if compression == 1:  # runs and literals of 8 bits
        body = b""
        for y in range(H):
            body += bytes([11, y * 7]) + b"\0\5" + data(5, y) + b"\0" + bytes([8, y]) + b"\0\0"
        body += b"\0\1"
    if compression == 2:
        body = b""
        for y in range(H):
            body += bytes([10, y * 7]) + b"\0\6" + data(3, y) + b"\0" + bytes([8, y]) + b"\0\0"
        body += b"\0\1"
    colours = data((3 if core else 4) << depth, 99) if depth <= 8 else b""
    middle = struct.pack("<III", *masks) if masks else b""
    if core:
        header = struct.pack("<IHHHH", 12, W, H, 1, depth)
    else:
        header = struct.pack("<IiiHHIIiiII", 40, W, H, 1, depth, compression, len(body), 0, 0, 0, 0)
    offset = 14 + len(header) + len(middle) + len(colours)
    return (b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + middle +
            colours + body)


def ppm(kind, most):
    channels = 3 if kind in (3, 6) else 1
    n = W * H * channels
    head = b"P%d\n# made\n%d %d\n" % (kind, W, H) + (b"%d\n" % most if kind not in (1, 4) else b"")
    values = [(v * 257 + 3) % (most + 1) for v in data(n)]
    if kind == 1:
        return head + b"".join(b"%d" % (v & 1) for v in data(n))
    if kind == 4:
        return head + data(W // 8 * H)
    if kind < 4:
        return head + b"".join(b"%d " % v for v in values)
    return head + b"".join(struct.pack(">H" if most > 255 else "B", v) for v in values)


def digest(raw):
    pixels = np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))
    return hashlib.sha256(struct.pack("<II", *pixels.shape[:2]) + pixels.tobytes()).hexdigest()[:16]


TIFFS = [(d, 1, p, 1, 1, -1, b, 0, 0) for p in (0, 1) for d in (1, 2, 4, 8) for b in (0, 1)]
TIFFS += [(16, 1, 1, 1, 1, -1, b, 0, 0) for b in (0, 1)] + [(16, 1, 1, 1, 2, -1, b, 0, 0) for b in (0, 1)]
TIFFS += [(32, 1, 1, 1, f, -1, b, 0, 0) for f in (2, 3) for b in (0, 1)]
TIFFS += [(d, 3, 2, p, 1, -1, b, 0, 0) for d in (8, 16) for p in (1, 2) for b in (0, 1) if (d, p) != (16, 2)]
TIFFS += [(8, 4, 2, 1, 1, x, 0, 0, 0) for x in (0, 1, 2)] + [(16, 4, 2, 1, 1, 1, 0, 0, 0)]
TIFFS += [(8, 2, 1, 1, 1, 2, 0, 0, 0), (8, 4, 5, 1, 1, -1, 0, 0, 0), (16, 4, 5, 1, 1, -1, 0, 0, 0)]
TIFFS += [(d, 1, 3, 1, 1, -1, 0, 0, 0) for d in (1, 2, 4, 8)]
TIFFS += [(8, 3, 2, 1, 1, -1, 0, 1, 0), (8, 3, 2, 2, 1, -1, 0, 1, 0), (4, 1, 1, 1, 1, -1, 0, 1, 0)]
TIFFS += [(1, 1, 1, 1, 1, -1, 0, 0, 1)]
BMPS = [(d, 0, c, None) for d in (1, 4, 8, 24) for c in (0, 1)] + [(16, 0, 0, None), (32, 0, 0, None)]
BMPS += [(16, 3, 0, (0xf800, 0x7e0, 0x1f)), (16, 3, 0, (0x7c00, 0x3e0, 0x1f)),
         (32, 3, 0, (0xff0000, 0xff00, 0xff)), (32, 3, 0, (0xff000000, 0xff0000, 0xff00)),
         (8, 1, 0, None), (4, 2, 0, None)]
PPMS = [(1, 1), (4, 1)] + [(k, m) for k in (2, 3, 5, 6) for m in (100, 255, 4095, 65535)]

if __name__ == "__main__":
    for t in TIFFS:
        print('    {{%s}, "%s"},' % (", ".join(map(str, t)), digest(tiff(*t))))
    print()
    for b in BMPS:
        masks = "{%s}" % ", ".join(hex(m) for m in b[3] or (0, 0, 0))
        print('    {%d, %d, %d, %s, "%s"},' % (b[0], b[1], b[2], masks, digest(bmp(*b))))
    print()
    for p in PPMS:
        print('    {%d, %d, "%s"},' % (*p, digest(ppm(*p))))
