"""Which tiles a run uses: as asked for, the largest that fit, or smaller ones when memory runs out after all."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from nst_lightning.allocator import MOST, free_at_once, keep_freed
from nst_lightning.errors import BadArgument, SharedOutOfMemory
from nst_lightning.objective.graphs import bytes_of_graph
from nst_lightning.objective.memory import budget, is_out_of_memory
from nst_lightning.objective.planning import FLOOR, bytes_per_pixel, plan
from nst_lightning.objective.ranks import agree, say, world
from nst_lightning.objective.tiled import TiledObjective

TileSize = Literal["auto", "none"] | int
KEPT = 0.25  # of the memory a step may take: the content image's features, if they are kept whole
KEPT_BESIDE = 128 << 20  # bytes, the same beside tiles of a given size: who gives one has little memory


def check_tile(tile: object) -> None:
    """Whether the argument can be a size of tiles at all.

    Raises:
        BadArgument: if not.
    """
    number = isinstance(tile, int) and not isinstance(tile, bool)
    if not (tile in ("auto", "none") or (number and tile >= 1)):  # type: ignore[operator]
        raise BadArgument("tile", tile, "auto, none, or the sides of a tile in pixels, 1 or more")


class Tiling:
    """The tiles of one run.

    Args:
        asked: ``auto``, ``none`` or a size.
        objective: whose ``tile`` is set here.
    """

    def __init__(self, asked: TileSize, objective: TiledObjective) -> None:
        self.asked = asked
        self.objective = objective
        self.limit: int | None = None  # set when memory ran out: it will at every later scale too

    @property
    def possible(self) -> bool:
        """Whether the image may be computed from tiles."""
        return self.asked != "none"

    def choose(self, image: Tensor) -> None:
        """Set the tiles for a new size of the image, ``(1, 3, H, W)``; called where the features will be computed."""
        shape = (int(image.shape[2]), int(image.shape[3]))
        (keep_freed if shape[0] * shape[1] <= MOST else free_at_once)()
        if not self.possible:
            self.objective.tile = None
            return
        network, available = self.objective.features, budget(image.device)
        self.objective.content_limit, self.objective.graph_limit = KEPT * available, 0.0
        tile: int | None
        if isinstance(self.asked, int):
            tile = self.asked
            self.objective.content_limit = min(self.objective.content_limit, KEPT_BESIDE)
        else:
            dtype = network.dtype_for(image)
            each = bytes_per_pixel(network, dtype.itemsize) + self.objective.bytes_read
            tile, graphs = plan(shape, network, each, bytes_of_graph(network, dtype), available, self.objective.looks_first)
            # several processes on one machine share its memory
            if self.limit is None and (world() == 1 or image.device.type == "cuda"):
                self.objective.graph_limit = graphs
        if world() > 1:  # the same tiles everywhere, and one for each at least
            tile = agree(min(tile or max(shape), -(-max(shape) // world())), image.device)
        known = [size for size in (tile, self.limit) if size is not None]
        self.objective.tile = min(known, default=None)

    def survive(self, work: Callable[[], None], image: Callable[[], Tensor], step: int) -> None:
        """Do some work; when memory runs out, again with tiles of half the size.

        Several processes have to fail together (:func:`nst_lightning.objective.ranks.together`); an error of one alone is
        passed on.

        Args:
            work: can be begun anew after it failed.
            image: gives the image, for its size; its gradient is dropped before work begins anew.
            step: of the run, to say where it happened.
        """
        while True:
            try:
                work()
                return
            except (RuntimeError, MemoryError) as error:
                longer = max(image().shape[2:])
                smaller = min(self.objective.tile or longer, longer) // 2
                alone = world() > 1 and not isinstance(error, SharedOutOfMemory)
                if not is_out_of_memory(error) or not self.possible or smaller < FLOOR or alone:
                    raise
            # here, no longer in the handler: the error held every tensor of the step that failed
            image().grad = None
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.limit = self.objective.tile = smaller
            self.objective.graph_limit = 0.0
            say(f"out of memory at step {step}: going on with tiles of {smaller} px")
