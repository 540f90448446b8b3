#!/usr/bin/env python3
"""PyTorch's side of against_torch.py: training or inference steps, when asked for.

    side_torch.py ARCH PRECISION train|infer BATCH THREADS [compile]

Speaks as peer_presize.c does: prints "PARAMETERS TEXT" once all is made and warm; then a line with a count
on stdin runs as many steps, and their images/s come back on one line. It takes the fastest of the ways that
PyTorch has, each tried on this machine before the first line, and names it in TEXT. `compile` adds
torch.compile() to the ways (needs a C++ compiler, and minutes). torchvision is not needed.
SPDX-License-Identifier: MIT
"""
import signal
import sys
import time
import warnings

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIZE, CLASSES, HIDDEN = 224, 37, 512
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3),
          "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}


def conv(c, k, r, stride=1):
    return nn.Conv2d(c, k, r, stride, r // 2, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3 (with the stride) and 1x1 that widens four times."""

    def __init__(self, c, k, stride, bottleneck):
        super().__init__()
        shapes = ([(c, k, 1, 1), (k, k, 3, stride), (k, 4 * k, 1, 1)] if bottleneck
                  else [(c, k, 3, stride), (k, k, 3, 1)])
        self.n, wide = len(shapes), shapes[-1][1]
        for i, shape in enumerate(shapes, 1):
            setattr(self, f"conv{i}", conv(*shape))
            setattr(self, f"bn{i}", nn.BatchNorm2d(shape[1]))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (nn.Sequential(conv(c, wide, 1, stride), nn.BatchNorm2d(wide))
                           if stride > 1 or c != wide else nn.Identity())

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.n == 3:
            y = self.bn3(self.conv3(self.relu(y)))
        y += self.downsample(x)
        return self.relu(y)


class Body(nn.Module):
    """torchvision's ResNet (v1.5), its names and order, up to the last block."""

    def __init__(self, arch):
        super().__init__()
        bottleneck = arch not in ("resnet18", "resnet34")
        self.conv1, self.bn1, self.relu = conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        c = 64
        for layer, n in enumerate(BLOCKS[arch], 1):
            blocks = []
            for i in range(n):
                k = 32 << layer
                blocks.append(Block(c, k, 2 if layer > 1 and i == 0 else 1, bottleneck))
                c = 4 * k if bottleneck else k
            setattr(self, f"layer{layer}", nn.Sequential(*blocks))
        self.features = c

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class Net(nn.Module):
    """The body and fastai's head as core/nn/network.h has it: both pools, two linear layers."""

    def __init__(self, arch):
        super().__init__()
        self.body = Body(arch)
        f = 2 * self.body.features
        self.head = nn.Sequential(nn.BatchNorm1d(f), nn.Dropout(0.25), nn.Linear(f, HIDDEN, bias=False),
                                  nn.ReLU(inplace=True), nn.BatchNorm1d(HIDDEN), nn.Dropout(0.5),
                                  nn.Linear(HIDDEN, CLASSES, bias=False))

    def forward(self, x):
        x = self.body(x)
        return self.head(torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1))


def fold_norms(module):
    """Puts each batch norm behind a convolution into its weights; only for inference."""
    for m in module.modules():
        for i in ("1", "2", "3"):
            if hasattr(m, "conv" + i):
                setattr(m, "conv" + i, fuse_conv_bn_eval(getattr(m, "conv" + i), getattr(m, "bn" + i)))
                setattr(m, "bn" + i, nn.Identity())
        if isinstance(getattr(m, "downsample", None), nn.Sequential):
            m.downsample = fuse_conv_bn_eval(*m.downsample)


def fastest(ways, times=2):
    """The name of the way whose best of TIMES runs after a first is the shortest."""

    def seconds(make):
        run = make()
        run()
        taken = []
        for _ in range(times):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
        return min(taken)

    return min(ways, key=lambda name: seconds(ways[name]))


def adamw(net, **kind):
    """presize's Adam: decay apart from the gradient, none for norms."""
    plain = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": [p for p in net.parameters() if p.dim() > 1]},
              {"params": plain, "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01, **kind)


FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
OPTIMISERS = {"fused AdamW": {"fused": True}, "foreach AdamW": {"foreach": True},
              "for-loop AdamW": {"foreach": False, "fused": False}}


def training(net, x, labels, bf16, compiled):
    def step(run, optimiser, pictures):
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, bf16):
            loss = nn.functional.cross_entropy(run(pictures), labels)
        loss.backward()
        optimiser.step()

    def way(format, kind, compiles=False):
        def make():
            pictures = x.to(memory_format=FORMATS[format])
            net.to(memory_format=FORMATS[format]).train()
            optimiser = adamw(net, **OPTIMISERS[kind])
            run = torch.compile(net) if compiles else net
            return lambda: step(run, optimiser, pictures)
        return make

    first = next(iter(OPTIMISERS))
    format = fastest({f: way(f, first) for f in FORMATS})
    way(format, first)()()  # leaves gradients, on which the optimisers alone are tried
    kind = fastest({k: (lambda k=k: adamw(net, **OPTIMISERS[k]).step) for k in OPTIMISERS})
    ways = {f"{format}, {kind}": way(format, kind)}
    if compiled:
        ways[f"torch.compile, {format}, {kind}"] = way(format, kind, True)
    name = fastest(ways) if compiled else next(iter(ways))
    return name, ways[name]()


def inference(net, x, bf16, compiled):
    net.eval()
    fold_norms(net)
    if bf16:
        net, x = net.bfloat16(), x.bfloat16()

    def way(format, change):
        def make():
            pictures = x.to(memory_format=FORMATS[format])
            net.to(memory_format=FORMATS[format])
            run = change(net, pictures)
            return lambda: run(pictures).float().softmax(1)
        return make

    def frozen(net, pictures):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is on its way out; it is still a way
            return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, pictures)))

    def compile(net, pictures):
        import torch._inductor.config
        torch._inductor.config.freezing = True
        return torch.compile(net)

    ways = {f"norms folded, {f}": way(f, lambda net, pictures: net) for f in FORMATS}
    ways |= {f"norms folded, torch.jit, {f}": way(f, frozen) for f in FORMATS}
    if compiled:
        ways["norms folded, torch.compile, channels_last"] = way("channels_last", compile)
    name = fastest(ways)
    return name, ways[name]()


def main(arch, precision, kind, batch, threads, compiled=""):
    torch.manual_seed(1)
    torch.set_num_threads(int(threads))
    torch.set_flush_denormal(True)
    batch, bf16 = int(batch), precision == "bf16"
    net = Net(arch)
    trained = sum(p.numel() for p in net.parameters())
    x = torch.rand(batch, 3, SIZE, SIZE) * 4 - 2
    with torch.inference_mode(kind == "infer"):
        if kind == "infer":
            name, run = inference(net, x, bf16, compiled)
        else:
            name, run = training(net, x, torch.arange(batch) % CLASSES, bf16, compiled)
        run()
        print(trained, f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()},", name,
              flush=True)
        for line in sys.stdin:
            rates = []
            for _ in range(int(line)):
                start = time.perf_counter()
                run()
                rates.append(batch / (time.perf_counter() - start))
            print(*(f"{r:.4f}" for r in rates), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches both sides; one word of it is enough
    main(*sys.argv[1:])
