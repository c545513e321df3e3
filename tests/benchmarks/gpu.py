"""What a card does: ``make bench-gpu``, some four minutes on one CUDA or Apple GPU; a table to paste and a JSON.

Without such a card everything is measured on the CPU, which takes long: ``--sizes 64 --steps 3`` shows that it works.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from nst_lightning import ImagePair, StyleTransfer, VGGFeatures
from nst_lightning.errors import reason
from nst_lightning.losses.moments import Moments, moments
from nst_lightning.losses.wasserstein import _TraceOfRoot, _TraceOfRootByProducts
from nst_lightning.network.layers import find_layer
from nst_lightning.presets import preset
from tests.benchmarks.roots import LAYERS, style_root
from tests.benchmarks.steps import PICTURES, model_of, read_pair

Row = tuple[str, str]  # what, and how much
DEEPEST = "relu4_2"  # of transfer.yaml
SKIPPED = 5  # steps before the clock starts


class Card:
    """Where it is measured.

    Args:
        steps: that are timed, each time.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.device = torch.device(self.kind)
        self.name = torch.cuda.get_device_name() if self.kind == "cuda" else platform.processor() or platform.machine()
        self.precision = "bf16-mixed" if self.kind == "cuda" else "32-true"
        self.dtype = torch.bfloat16 if self.kind == "cuda" else torch.float32

    def wait(self) -> None:
        """Until all work is done."""
        if self.kind != "cpu":
            getattr(torch, self.kind).synchronize()

    def seconds(self, work: Callable[[], Any]) -> float:
        """Of a piece of work, the mean of some after one that warms up."""
        work()
        self.wait()
        start = time.perf_counter()
        for _ in range(self.steps):
            work()
        self.wait()
        return (time.perf_counter() - start) / self.steps

    def forget(self) -> None:
        """Count the peak memory from here on."""
        if self.kind == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> str:
        """The memory since then."""
        return f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB" if self.kind == "cuda" else "memory not known"

    def fit(self, size: int, steps: int, *callbacks: Callback, **settings: Any) -> tuple[StyleTransfer, float]:
        """A run of the real program, and its seconds with all it does."""
        module = StyleTransfer(**settings)
        shown = ("enable_checkpointing", "enable_progress_bar", "enable_model_summary", "logger")
        quiet: dict[str, Any] = dict.fromkeys(shown, False)
        accelerator = {"cuda": "gpu"}.get(self.kind, self.kind)
        clock: dict[str, Any] = {"max_steps": steps, "max_epochs": -1, "limit_val_batches": 0, "devices": 1}
        precision: Any = self.precision
        trainer = L.Trainer(accelerator=accelerator, precision=precision, callbacks=list(callbacks), **clock, **quiet)
        start = time.perf_counter()
        trainer.fit(module, datamodule=ImagePair(*PICTURES, size))
        self.wait()
        return module, time.perf_counter() - start


class Clock(Callback):
    """The seconds of the Trainer's steps after the first few."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.seconds = 0.0

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == SKIPPED:
            self.card.wait()
            self.start = time.perf_counter()
        if trainer.global_step == trainer.max_steps:
            self.card.wait()
            self.seconds = (time.perf_counter() - self.start) / (trainer.max_steps - SKIPPED)


class Waits(Callback):
    """Counts the lines at which a step waits for the card, from the second step on."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == SKIPPED:
            warnings.showwarning = self._note  # type: ignore[assignment]
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == trainer.max_steps - 1:  # the last one looks at the result
            torch.cuda.set_sync_debug_mode("default")

    def _note(self, message: Any, *_: Any) -> None:
        if "synchroniz" in str(message):
            own = [f for f in traceback.extract_stack() if "nst_lightning/" in f.filename or "/lightning/" in f.filename]
            frame = own[-1] if own else traceback.extract_stack()[-2]
            self.lines[f"{Path(frame.filename).name}:{frame.lineno}"] += 1


def transfer() -> dict[str, Any]:
    """The objective of a step: what the README's pictures were made with."""
    return {"style_loss": "wasserstein", "scales": "none", "tile": "none"}


def bare_network(card: Card, size: int) -> Iterator[Row]:
    """The network alone, forward and backward to the image: as it is, and captured in a CUDA graph."""
    deepest = find_layer(DEEPEST, "vgg16")
    network = VGGFeatures([deepest]).to(card.device)
    image = read_pair(PICTURES, size)[0].to(card.device).requires_grad_()

    def step() -> None:
        image.grad = None
        with torch.autocast(card.kind, card.dtype, enabled=card.dtype != torch.float32):
            features = network(image)[deepest]
        features.float().square().mean().backward()

    seconds = card.seconds(step)
    flops, shape = 0.0, tuple(image.shape[2:])
    for layer in network.layers:
        if layer.kind == "conv":
            kernel = getattr(network, f"kernel_{layer.count}")
            flops += 4 * kernel.numel() * (shape[0] >> layer.pools_before) * (shape[1] >> layer.pools_before)
    yield f"network, {size} px", f"{1e3 * seconds:.2f} ms, {flops / seconds / 1e12:.1f} TFLOP/s"
    best = seconds
    if card.kind == "cuda":
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        best = card.seconds(graph.replay)
        yield f"network in a CUDA graph, {size} px", f"{1e3 * best:.2f} ms, {flops / best / 1e12:.1f} TFLOP/s"
    card.forget()
    clock = Clock(card)
    card.fit(size, card.steps + SKIPPED, clock, **transfer())
    times = f"{clock.seconds / best:.2f} times the network's best"
    yield f"step, {size} px", f"{1e3 * clock.seconds:.2f} ms, {times}, {card.peak()}"


def peak_products(card: Card, side: int) -> Iterator[Row]:
    """What a large product of matrices reaches: the card's peak in practice."""
    a = torch.randn(side, side, device=card.device, dtype=card.dtype)
    seconds = card.seconds(lambda: a @ a)
    kind = str(card.dtype).removeprefix("torch.")
    yield f"product of {side} x {side} matrices, {kind}", f"{2 * side**3 / seconds / 1e12:.3g} TFLOP/s"


def assignment(card: Card, size: int, steps: int) -> Iterator[Row]:
    """The course assignment's runs: L-BFGS from noise and from the photograph; 16.5 and 11.23 s on a GPU not named."""
    settings = model_of("recipes/assignment.yaml")
    settings["features"] = settings["features"] | {"arch": "vgg16", "weights": "bundled"}
    for init in ("noise", "content"):
        _, seconds = card.fit(size, steps, **(settings | {"init": init}))
        yield f"assignment, {steps} L-BFGS steps, {size} px, from {init}", f"{seconds:.2f} s from file to result"


def whole_pictures(card: Card, size: int) -> Iterator[Row]:
    """Pictures of the standard preset, from file to result; the second, when everything is loaded."""
    for name in ("standard", "wasserstein"):
        settings = preset()["model"] if name == "standard" else model_of("recipes/wasserstein.yaml")
        steps = preset()["trainer"]["max_steps"] if name == "standard" else 180
        seconds = [card.fit(size, steps, **settings)[1] for _ in range(2)][1]
        yield f"a picture, {name}, {steps} steps, {size} px", f"{seconds:.2f} s: {60 / seconds:.1f} images a minute"


def parts_of_a_step(card: Card, size: int) -> Iterator[Row]:
    """Moments of each layer, and the matrix root by eigendecomposition and by products, with their difference."""
    layers = [find_layer(name, "vgg16") for name in LAYERS]
    network = VGGFeatures(layers).to(card.device)
    with torch.no_grad():
        ours, theirs = (network(picture.to(card.device)) for picture in read_pair(PICTURES, size))
    for layer in layers:
        features = ours[layer].detach()
        took = card.seconds(lambda features=features: moments(features))
        image, style = moments(features), moments(theirs[layer])
        root = style_root(Moments(style.positions, style.mean.cpu(), style.second.cpu())).to(card.device)
        spent, found = [], []
        for kind in (_TraceOfRoot, _TraceOfRootByProducts):
            leaf = image.covariance.detach().clone().requires_grad_()

            def step(kind: Any = kind, leaf: Any = leaf, root: Any = root) -> None:
                leaf.grad = None
                kind.apply(leaf, root).backward()

            spent.append(card.seconds(step))
            found.append(float(kind.apply(leaf.detach(), root)))
        text = f"moments {1e3 * took:.2f} ms, root by eigh {1e3 * spent[0]:.2f} ms, by products {1e3 * spent[1]:.2f} ms"
        text += f"; traces differ by {abs(found[1] / found[0] - 1):.0e}"
        yield f"{layer.name}, {layer.channels} channels, {size} px", text


def waits(card: Card, size: int) -> Iterator[Row]:
    """Where a step waits for the card."""
    if card.kind != "cuda":
        return
    for loss in ("wasserstein", "gram", "nearest_neighbor", "relaxed_emd"):
        counter = Waits()
        before = warnings.showwarning
        with warnings.catch_warnings():
            try:
                card.fit(size, SKIPPED + 12, counter, **(transfer() | {"style_loss": loss}))
            finally:
                torch.cuda.set_sync_debug_mode("default")
                warnings.showwarning = before
        lines = ", ".join(f"{line} {count} times" for line, count in counter.lines.most_common(6))
        yield f"waits in 11 steps of {loss}, {size} px", lines or "none"


def compiled(card: Card, size: int) -> Iterator[Row]:
    """``--model.compile``: a run of so many steps that it might pay."""
    seconds = []
    for compiles in (False, True):
        clock = Clock(card)
        _, whole = card.fit(size, SKIPPED + 60 * card.steps, clock, **(transfer() | {"compile": compiles}))
        seconds.append((clock.seconds, whole))
    (plain, _), (fast, whole) = seconds
    yield f"compiled, {size} px", f"{1e3 * fast:.2f} ms a step instead of {1e3 * plain:.2f}, {whole:.0f} s in all"


def largest(card: Card, sizes: list[int]) -> Iterator[Row]:
    """Larger and larger, whole while it fits and then in tiles."""
    for size in sizes:
        card.forget()
        clock = Clock(card)
        module, _ = card.fit(size, SKIPPED + 3, clock, **(transfer() | {"tile": "auto"}))
        tile = module.objective.tile
        form = "whole" if tile is None else f"tiles of {tile} px"
        yield f"step, {size} px", f"{clock.seconds:.2f} s, {card.peak()}, {form}"


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and write after each part what there is."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__)
    parser.add_argument("--output", default="logs/bench-gpu.json")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--steps", type=int, default=30, help="that are timed, each time")
    parser.add_argument("--lbfgs", type=int, default=300, help="steps of the assignment's runs")
    parser.add_argument("--seconds", type=float, default=200, help="no part begins after that")
    args = parser.parse_args(words)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    card, began, first = Card(args.steps), time.perf_counter(), args.sizes[0]
    parts: list[Callable[[], Iterator[Row]]] = [
        lambda: peak_products(card, 8192 if card.kind == "cuda" else 512),
        *(lambda size=size: bare_network(card, size) for size in args.sizes),  # type: ignore[misc]
        lambda: whole_pictures(card, first),
        lambda: assignment(card, first, args.lbfgs),
        lambda: parts_of_a_step(card, first),
        lambda: waits(card, min(first, 128)),
        lambda: largest(card, [2 * args.sizes[-1]] if card.kind == "cpu" else [4096, 8192]),
        lambda: compiled(card, first),
    ]
    rows: list[Row] = []
    about = {"card": card.name, "torch": torch.__version__, "precision": card.precision}
    print(f"{card.name}, torch {torch.__version__}, {card.precision}\n\n| what | measured |\n|---|---|", flush=True)
    for number, part in enumerate(parts):
        if time.perf_counter() - began > args.seconds:
            rows.append(("left out", f"{len(parts) - number} parts: the {args.seconds:.0f} s were over"))
            print(f"| {rows[-1][0]} | {rows[-1][1]} |", flush=True)
            break
        try:
            for row in part():
                rows.append(row)
                print(f"| {row[0]} | {row[1]} |", flush=True)
        except Exception as error:  # the others go on, and what failed is said
            rows.append(("failed", reason(error)[:300]))
            print(f"| failed | {rows[-1][1]} |", flush=True)
            traceback.print_exc()
        target = Path(args.output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"\n{time.perf_counter() - began:.0f} s; {args.output}")


if __name__ == "__main__":
    main()
