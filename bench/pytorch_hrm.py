#!/usr/bin/env python3
"""HRM's training step in plain PyTorch, against `build/cpu/bench/bench step` in turns.

    python3 bench/pytorch_hrm.py [--quick] [--seconds 54] [--bench build/cpu/bench/bench] [--json FILE]
    python3 bench/pytorch_hrm.py --gpu [--batch 768] [--json FILE]     PyTorch's step alone, on a GPU

Same model, same step: one segment with gradient through the last L and the last H update, one more
without for the target of q_continue, both losses, Adam-atan2 on every weight. In bf16 weights are
cast once per step and products run in bf16; statistics, losses and the optimizer in f32 (stablemax
in f64). Each way of running PyTorch (eager, compiled) is timed in a process of its own, and the
best one counts. Every row of the table has a limit of time for getting ready: a way that is late, as
where torch.compile takes minutes, is stopped and said to be left out.
"""

import argparse
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import torch
import torch.nn.functional as F

# name: hidden, layers per level, heads, tokens, vocabulary, segments, batch. sudoku6 and sudoku9 are
# the network of the preset sudoku4 on larger boards.
PRESETS = {
    "hrm-27m": (512, 4, 8, 81, 11, 16, 8),
    "sudoku4": (128, 2, 4, 16, 6, 4, 64),
    "sudoku6": (128, 2, 4, 36, 8, 6, 64),
    "sudoku9": (128, 2, 4, 81, 11, 8, 64),
}


def rms_norm(h, eps=1e-5):
    wide = h.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(h.dtype)


class Linear(torch.nn.Module):
    """A weight in f32 that is cast once per step (`prepare`)."""

    def __init__(self, n_in, n_out):
        super().__init__()
        std = 1 / math.sqrt(n_in)
        self.weight = torch.nn.Parameter(torch.nn.init.trunc_normal_(torch.empty(n_out, n_in), std=std))
        self.cast = None

    def forward(self, x):
        return F.linear(x, self.cast)


class Block(torch.nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        inter = (round(4 * hidden * 2 / 3) + 255) // 256 * 256
        self.heads = heads
        self.qkv, self.o = Linear(hidden, 3 * hidden), Linear(hidden, hidden)
        self.gate_up, self.down = Linear(hidden, 2 * inter), Linear(inter, hidden)

    def forward(self, h, cos, sin):
        b, s, d = h.shape
        qkv = self.qkv(h).view(b, s, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)

        def rotate(t):
            x, y = t.float().chunk(2, -1)
            return (torch.cat((x, y), -1) * cos + torch.cat((-y, x), -1) * sin).to(t.dtype)

        if hasattr(F, "scaled_dot_product_attention"):
            a = F.scaled_dot_product_attention(rotate(q), rotate(k), v)
        else:
            scores = rotate(q) @ rotate(k).transpose(-1, -2) / math.sqrt(d // self.heads)
            a = torch.softmax(scores.float(), -1).to(v.dtype) @ v
        h = rms_norm(h + self.o(a.transpose(1, 2).reshape(b, s, d)))
        gate, up = self.gate_up(h).chunk(2, -1)
        return rms_norm(h + self.down(F.silu(gate) * up))


class Level(torch.nn.Module):
    def __init__(self, layers, hidden, heads):
        super().__init__()
        self.layers = torch.nn.ModuleList(Block(hidden, heads) for _ in range(layers))

    def forward(self, state, injection, cos, sin):
        h = state + injection
        for layer in self.layers:
            h = layer(h, cos, sin)
        return h


class HRM(torch.nn.Module):
    def __init__(self, hidden, layers, heads, tokens, vocab, segments, dtype):
        super().__init__()
        self.hidden, self.segments, self.dtype = hidden, segments, dtype
        self.H, self.L = Level(layers, hidden, heads), Level(layers, hidden, heads)
        self.embed = torch.nn.Parameter(torch.randn(vocab, hidden) / math.sqrt(hidden))
        self.lm_head = Linear(hidden, vocab)
        self.q_weight = torch.nn.Parameter(torch.zeros(2, hidden))
        self.q_bias = torch.nn.Parameter(torch.full((2,), -5.0))
        dim = hidden // heads
        angle = torch.outer(torch.arange(tokens + 1.0), 1 / 10000 ** (torch.arange(0, dim, 2) / dim))
        self.cos, self.sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()
        self.puzzle = torch.zeros(hidden)

    def prepare(self):
        for module in self.modules():
            if isinstance(module, Linear):
                module.cast = module.weight.to(self.dtype)

    def inputs(self, tokens):
        x = self.embed.to(self.dtype)[tokens] * math.sqrt(self.hidden)
        return torch.cat((self.puzzle.to(self.dtype).expand(len(tokens), 1, -1), x), 1)

    def segment(self, z_H, z_L, x):
        """Two cycles of (L, L, H); gradient through the last L and the last H."""
        with torch.no_grad():
            for cycle in range(2):
                for _ in range(2 - cycle):
                    z_L = self.L(z_L, z_H + x, self.cos, self.sin)
                if cycle == 0:
                    z_H = self.H(z_H, z_L, self.cos, self.sin)
        z_L = self.L(z_L, z_H + x, self.cos, self.sin)
        return self.H(z_H, z_L, self.cos, self.sin), z_L

    def q(self, z_H):
        return F.linear(z_H[:, 0], self.q_weight.to(self.dtype), self.q_bias.to(self.dtype)).float()


def stablemax_loss(logits, labels):
    x = logits.double()
    s = torch.where(x >= 0, x + 1, 1 / (1 - x + 1e-30))
    p = torch.log(s / s.sum(-1, keepdim=True))
    return -p.gather(-1, labels.unsqueeze(-1)).squeeze(-1)


class AdamAtan2:
    def __init__(self, parameters, lr=1e-4, decay=0.1, betas=(0.9, 0.95)):
        self.p, self.lr, self.decay, self.betas, self.t = list(parameters), lr, decay, betas, 0
        self.m = [torch.zeros_like(p) for p in self.p]
        self.v = [torch.zeros_like(p) for p in self.p]

    @torch.no_grad()
    def step(self):
        self.t += 1
        b1, b2 = self.betas
        g = [p.grad for p in self.p]
        torch._foreach_mul_(self.p, 1 - self.lr * self.decay)
        torch._foreach_mul_(self.m, b1)
        torch._foreach_add_(self.m, g, alpha=1 - b1)
        torch._foreach_mul_(self.v, b2)
        torch._foreach_addcmul_(self.v, g, g, 1 - b2)
        root = torch._foreach_sqrt(self.v)
        torch._foreach_div_(root, math.sqrt(1 - b2**self.t))
        for p, m, r in zip(self.p, self.m, root):
            p.sub_(torch.atan2(m, r), alpha=self.lr / (1 - b1**self.t))
            p.grad = None


class Step:
    """A training step on random rows that all continue."""

    def __init__(self, preset, dtype, compiled):
        hidden, layers, heads, tokens, vocab, segments, batch = PRESETS[preset]
        torch.manual_seed(1)
        self.batch = batch
        self.model = HRM(hidden, layers, heads, tokens, vocab, segments, dtype)
        self.weights = sum(p.numel() for p in self.model.parameters())
        self.adam = AdamAtan2(self.model.parameters())
        self.tokens = torch.randint(1, vocab, (batch, tokens))
        self.labels = torch.randint(2, vocab, (batch, tokens))
        self.z = [torch.randn(batch, tokens + 1, hidden).to(dtype) for _ in range(2)]
        if compiled:
            self.model.H, self.model.L = torch.compile(self.model.H), torch.compile(self.model.L)

    def __call__(self):
        model = self.model
        model.prepare()
        x = model.inputs(self.tokens)
        z_H, z_L = model.segment(*self.z, x)
        logits, q = model.lm_head(z_H[:, 1:]), model.q(z_H)
        with torch.no_grad():
            next_H, _ = model.segment(z_H.detach(), z_L.detach(), x.detach())
            target = torch.sigmoid(model.q(next_H).max(-1).values)
        exact = (logits.argmax(-1) == self.labels).all(-1).float()
        loss = stablemax_loss(logits, self.labels).mean(-1).sum()
        loss = loss + 0.5 * F.binary_cross_entropy_with_logits(q[:, 0], exact, reduction="sum")
        loss = loss + 0.5 * F.binary_cross_entropy_with_logits(q[:, 1], target, reduction="sum")
        (loss / self.batch).backward()
        self.adam.step()
        self.z = [z_H.detach(), z_L.detach()]


class Solve:
    """One 9x9 puzzle through all 16 segments of the 27M model."""

    def __init__(self, dtype, compiled):
        hidden, layers, heads, tokens, vocab, segments, _ = PRESETS["hrm-27m"]
        self.model = HRM(hidden, layers, heads, tokens, vocab, segments, dtype)
        self.tokens = torch.randint(1, vocab, (1, tokens))
        with torch.no_grad():
            self.model.prepare()
        if compiled:
            self.model.H, self.model.L = torch.compile(self.model.H), torch.compile(self.model.L)

    @torch.no_grad()
    def __call__(self):
        model = self.model
        x = model.inputs(self.tokens)
        z_H, z_L = torch.randn_like(x), torch.randn_like(x)
        for _ in range(model.segments):
            z_H, z_L = model.segment(z_H, z_L, x)
            model.lm_head(z_H[:, 1:]).argmax(-1), model.q(z_H)


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def on_gpu(batch, path):
    """Milliseconds of a bf16 step of the 27M model, for bench/gpu/report.sh."""
    torch.set_default_device("cuda")
    torch.set_float32_matmul_precision("high")
    print(f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}")
    PRESETS["hrm-27m"] = (*PRESETS["hrm-27m"][:-1], batch)
    for mode in ("eager", "compiled"):
        try:
            step = Step("hrm-27m", torch.bfloat16, mode == "compiled")
            for _ in range(5):
                step()
            times = []
            for _ in range(20):
                torch.cuda.synchronize()
                start = time.perf_counter()
                step()
                torch.cuda.synchronize()
                times.append(time.perf_counter() - start)
            ms = 1e3 * sorted(times)[len(times) // 2]
            peak = torch.cuda.max_memory_allocated() / 2**30
            print(f"PyTorch {mode}: hrm-27m, S 81, batch {batch}, bf16: {ms:.2f} ms, peak {peak:.2f} GiB", flush=True)
            if path:
                with open(path, "a") as file:
                    line = {"section": "pytorch", "mode": mode, "batch": batch, "ms": ms, "peak_gib": peak,
                            "torch": torch.__version__}
                    file.write(json.dumps(line) + "\n")
            del step
            torch.cuda.reset_peak_memory_stats()
        except Exception as error:
            print(f"PyTorch {mode}: {str(error).splitlines()[0]}", file=sys.stderr)


def peak_memory(preset, dtype):
    """Peak resident bytes of a few steps less those of the weights, gradients and moments, and of
    Python itself: measured in a process of its own."""
    code = (
        "import torch, sys; sys.path.insert(0, sys.argv[1]); import pytorch_hrm as h\n"
        "def rss():\n"
        "    with open('/proc/self/status') as f:\n"
        "        return next(1024 * int(line.split()[1]) for line in f if line.startswith('VmHWM'))\n"
        f"before = rss(); step = h.Step({preset!r}, {dtype}, False)\n"
        "for _ in range(3): step()\n"
        "print(rss() - before - 16 * step.weights)"
    )
    here = os.path.dirname(os.path.abspath(__file__))
    out = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, check=True)
    return int(out.stdout)


class Late(Exception):
    """Something was not done in time."""


class Worker:
    """One way of running PyTorch, in a process that can be stopped."""

    def __init__(self, preset, dtype, mode, threads):
        self.mode, self.lines = mode, queue.Queue()
        words = [sys.executable, os.path.abspath(__file__), "--worker", preset, dtype, mode, "--threads", str(threads)]
        # A session of its own: torch.compile starts compilers, which must end with it.
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put("error it ended")

    def answer(self, until):
        """Its next line; Late if there is none by then, RuntimeError if it failed."""
        try:
            line = self.lines.get(timeout=max(0, until - time.monotonic()))
        except queue.Empty:
            raise Late from None
        if line.startswith("error "):
            raise RuntimeError(line[6:])
        return line

    def seconds(self, until):
        """Of one step, the best of two."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.answer(until))

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def work_for(preset, dtype, mode):
    """What a Worker's process does: gets ready, then times two steps for every line it reads."""
    try:
        type_of = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
        compiled = mode == "compiled"
        work = Solve(type_of, compiled) if preset == "solve" else Step(preset, type_of, compiled)
        timed(work), timed(work)
        print("ready", flush=True)
        for _ in sys.stdin:
            print(min(timed(work), timed(work)), flush=True)
    except Exception as error:
        print("error " + (str(error).splitlines() or [repr(error)])[0], flush=True)


def ours(bench, threads, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    out = subprocess.run([bench, *arguments], capture_output=True, text=True, check=True, env=environment)
    return json.loads(out.stdout)


def say(text):
    """On a terminal, what is going on; the row of the table takes its place."""
    if sys.stderr.isatty():
        print(f"  {text} ...".ljust(60), end="\r", file=sys.stderr, flush=True)


class Row:
    """One row of the table: PyTorch's ways in processes of their own, and ours, in turns."""

    def __init__(self, preset, dtype, threads):
        self.preset, self.dtype, self.threads = preset, dtype, threads
        self.workers, self.left_out, self.best, self.mine = [], [], {}, math.inf

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.stop()

    def drop(self, worker, why):
        """Goes on without one that is late or has failed."""
        worker.stop()
        self.workers.remove(worker)
        self.left_out.append(f"{worker.mode}: " + ("not ready in time" if isinstance(why, Late) else str(why)))

    def start(self, modes, until):
        for mode in modes:
            say(f"{self.preset} {self.dtype}: {mode}")
            worker = Worker(self.preset, self.dtype, mode, self.threads)
            self.workers.append(worker)
            try:
                worker.answer(until)
            except (Late, RuntimeError) as why:
                self.drop(worker, why)

    def measure(self, bench, rounds, until):
        """As many rounds as there is time for, but one in any case."""
        arguments = [self.preset, self.dtype]
        arguments = ["solve", self.dtype] if self.preset == "solve" else ["step", *arguments, str(PRESETS[self.preset][-1])]
        for turn in range(rounds):
            if turn > 0 and time.monotonic() > until:
                break
            say(f"{self.preset} {self.dtype}: round {turn + 1}")
            for worker in list(self.workers):
                try:
                    seconds = worker.seconds(max(until, time.monotonic() + 60))
                    self.best[worker.mode] = min(self.best.get(worker.mode, math.inf), seconds)
                except (Late, RuntimeError, OSError, ValueError) as why:
                    self.drop(worker, why)
            self.mine = min(self.mine, ours(bench, self.threads, *arguments)["seconds"])

    def __str__(self):
        name, how = f"{self.preset} {self.dtype}", min(self.best, key=self.best.get, default="-")
        if self.best:
            text = f"{name:28} {self.best[how]:10.4f} {how:>9} {self.mine:9.4f} {self.best[how] / self.mine:7.2f}"
        else:
            text = f"{name:28} {'-':>10} {how:>9} {self.mine:9.4f} {'-':>7}"
        return "   ".join([text, *self.left_out])


def table(args, modes):
    cases = [("hrm-27m", "f32"), ("sudoku4", "f32")]
    if not args.quick:
        cases = [(p, d) for p in PRESETS for d in ("f32", "bf16")] + [("solve", "f32"), ("solve", "bf16")]
    print(f"{'':28} {'PyTorch s':>10} {'how':>9} {'ours s':>9} {'ratio':>7}", flush=True)
    results = []
    for preset, dtype in cases:
        start = time.monotonic()
        with Row(preset, dtype, args.threads) as row:
            row.start(modes, start + 0.75 * args.seconds)  # the rest is for measuring
            row.measure(args.bench, args.rounds, start + args.seconds)
            print(row, flush=True)
            results.append({"case": preset, "dtype": dtype, "pytorch": row.best, "ours": row.mine, "left_out": row.left_out})
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", default="build/cpu/bench/bench")
    parser.add_argument("--json", help="write the results there")
    parser.add_argument("--quick", action="store_true", help="the 27M model and sudoku4 in f32 alone")
    parser.add_argument("--seconds", type=float, default=54, help="limit for each row of the table")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--gpu", action="store_true", help="PyTorch's step alone, on the GPU")
    parser.add_argument("--batch", type=int, default=768, help="with --gpu")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.worker:
        return work_for(*args.worker)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that workers are stopped, too
    if args.gpu:
        if not torch.cuda.is_available():
            sys.exit("pytorch_hrm: PyTorch finds no GPU")
        return on_gpu(args.batch, args.json)
    if not os.access(args.bench, os.X_OK):
        sys.exit(f"pytorch_hrm: no program {args.bench}. HINT: make bench-build")
    modes = ["eager"]
    if hasattr(torch, "compile") and not args.no_compile:
        modes.append("compiled")
    print(f"PyTorch {torch.__version__}, {args.threads} threads, {', '.join(modes)}; "
          f"at most {args.seconds:.0f} s a row (--seconds)")
    results = table(args, modes)
    if args.quick:
        memory = None
    else:
        memory = {"pytorch": peak_memory("hrm-27m", "torch.float32"),
                  "ours": ours(args.bench, args.threads, "memory", "hrm-27m", "f32", "8")["bytes"]}
        print(f"peak memory of the 27M step less weights, gradients, moments: "
              f"PyTorch {memory['pytorch'] / 2**20:.0f} MiB, ours {memory['ours'] / 2**20:.0f} MiB")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"torch": torch.__version__, "threads": args.threads, "steps": results, "memory": memory}, file, indent=1)


if __name__ == "__main__":
    main()
