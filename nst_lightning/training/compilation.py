"""``torch.compile`` for the objective, at the scales where it pays."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nst_lightning.errors import reason
from nst_lightning.objective.memory import is_out_of_memory
from nst_lightning.objective.ranks import say
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.objective.whole import Objective

TRIALS = 4  # steps timed in each form; the fastest counts
LEAST = 10.0  # seconds that compiling takes on the fastest machines; on two cores it is 30 to 60
GAIN = 0.5  # of the time of a step, the most that compiling can be hoped to save

Function = Callable[[Tensor, int], dict[str, Tensor]]


class Compilation:
    """Compiles the objective for one size of the image after the other, tries it, and keeps what is faster.

    On a GPU the compiled objective is captured in CUDA graphs (torch's mode ``reduce-overhead``), which launch a step's
    kernels at once. Which form is faster depends on the machine and its load: a compiled run is not repeated bit for bit.

    Args:
        asked: whether to compile at all.
        objective: computed whole; tiles are not compiled.
    """

    def __init__(self, asked: bool, objective: TiledObjective) -> None:
        self.asked = asked
        self.objective = objective
        self._compiled: Function | None = None

    def __call__(self, image: Tensor, step: int) -> dict[str, Tensor]:
        """The objective in the chosen form; see :meth:`Objective.forward`."""
        if self._compiled is None or self.objective.tile is not None:  # memory may have run out since
            return self.objective(image, step)
        torch.compiler.cudagraph_mark_step_begin()
        return self._compiled(image, step)

    def choose(self, image: Tensor, steps: int) -> None:
        """Choose the form for a new size, and say in one line why.

        Args:
            image: ``(1, 3, H, W)``; called where the objective will be computed, after its targets are set.
            steps: that are left at this size.
        """
        self._compiled = None
        if not self.asked:
            return
        size = f"compile: {image.shape[3]} x {image.shape[2]}"
        if self.objective.tile is not None:
            say(f"{size} is computed from tiles, which are not compiled")
            return
        try:
            plain = self._seconds(self.objective, image)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return  # the step itself will go on with tiles
        if plain * steps * GAIN < LEAST:
            say(f"{size} does not pay: {steps} steps of {plain:.3f} s are soon over")
            return
        mode = "reduce-overhead" if image.device.type == "cuda" else "default"
        torch._dynamo.reset()  # the graphs of the size before
        function = torch.compile(partial(Objective.forward, self.objective), dynamic=False, mode=mode)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler's notes to its developers
                spent = self._seconds(function, image, trials=1)
            compiled = self._seconds(function, image)
        except Exception as error:  # whatever the compiler cannot do here; the run can do without
            self.asked = False
            say(f"compile: not possible here, going on without ({reason(error)[:120]})")
            return
        times = f"{compiled:.3f} s a step instead of {plain:.3f} s, compiled in {spent:.0f} s"
        if compiled >= plain:
            say(f"{size} does not pay, going on without: {times}")
            return
        self._compiled = function
        saved = (plain - compiled) * steps
        say(f"{size}: {times}" + ("" if saved > spent else f"; {steps} steps do not win that back"))

    @staticmethod
    def _seconds(function: Function, image: Tensor, trials: int = TRIALS) -> float:
        """The time of the fastest of some values with their gradients."""
        fastest = float("inf")
        for _ in range(trials):
            start = time.perf_counter()
            with torch.enable_grad():
                torch.compiler.cudagraph_mark_step_begin()
                torch.autograd.grad(function(image, 0)["loss"], image)
            if image.device.type == "cuda":
                torch.cuda.synchronize()
            fastest = min(fastest, time.perf_counter() - start)
        return fastest
