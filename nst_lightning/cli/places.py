"""Whether what a run will write can be written: known before the work begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.atomic import free_bytes
from nst_lightning.pictures.mapped import folder as mapped_folder
from nst_lightning.pictures.mapped import is_large
from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.write import check_folder, check_output, parse_color

# A pixel's in temporary files: both pictures, hues and regions, two means of each level of the pyramid, average, the last
# good image in half precision, what is matched, and the result; 16 or 32 for the photograph's features.
MAPPED_BYTES = 150
# Images in a checkpoint: itself, its average, and what the optimiser keeps: two moments of each level of a pyramid;
# of L-BFGS ten steps, ten changes of the gradient, and the last of both.
KEPT, KEPT_BY_LBFGS = 2 + 8 / 3, 2 + 22
COLORS = {"luminance": 12, "oklab": 8}  # bytes of a pixel of the photograph's colours or hues, which come with it
AT_ONCE = 3  # checkpoints: two, and the one that is written


def check_places(config: Any, loggers: Sequence[Any], size: int) -> None:
    """Check ``--output`` and what belongs to it, and the folders of the logs and of the checkpoints.

    Args:
        config: of ``fit``.
        loggers: the Trainer's.
        size: longer side of the result in pixels, 0 if it is not known yet.

    Raises:
        BadArgument: naming the flag.
    """
    if config.output is None:
        for name, usual in (("bits", 8), ("quality", None)):
            if config[name] != usual:
                raise BadArgument(name, config[name], "is for --output, which is not given")
        if not loggers and not config.trainer.fast_dev_run:
            raise BadArgument("output", None, "nothing is logged, so the picture would be lost; give a file")
    check_output_file(config, size)
    if config.trainer.fast_dev_run:
        return
    way = "give --trainer.default_root_dir FOLDER, or --output FILE with --trainer.logger false"
    folders = [("trainer.logger", logger.save_dir or ".", way) for logger in loggers]
    if config.checkpoint.dirpath:
        folders.append(("checkpoint.dirpath", config.checkpoint.dirpath, "give another folder"))
    for name, folder, remedy in folders:
        try:
            check_folder(folder)
        except ImageError as error:
            raise BadArgument(name, folder, f"{error}; {remedy}") from error


def check_room(config: Any, shape: tuple[int, int]) -> None:
    """Whether the disks have room for the picture, and for the checkpoints and the mapped arrays of a large one.

    Args:
        config: of ``fit``.
        shape: height and width of the result.

    Raises:
        BadArgument: naming the flag.
    """
    pixels = shape[0] * shape[1]
    if is_large((3, *shape)):
        needed, free = MAPPED_BYTES * pixels, free_bytes(mapped_folder())
        if needed > free:
            expected = (
                f"needs {needed / 2**30:.2f} GiB of temporary files, {free / 2**30:.2f} are free in {mapped_folder()}; "
                "set TMPDIR to a folder on a larger disk, or give a smaller size"
            )
            raise BadArgument("size", config.data.size, expected)
    wanted = []
    if config.output is not None:
        wanted.append(("output", config.output, 3 * pixels * config.bits // 8))
    if config.trainer.enable_checkpointing is not False and not config.trainer.fast_dev_run:
        folder = config.checkpoint.dirpath or config.trainer.default_root_dir or "."
        wanted.append(("checkpoint.dirpath", folder, AT_ONCE * checkpoint_bytes(config) * pixels))
    for name, path, needed in wanted:
        free = free_bytes(path)
        if needed > free:
            without = "; or --trainer.enable_checkpointing false" if name != "output" else ""
            expected = f"{needed / 2**30:.2f} GiB will be written there, {free / 2**30:.2f} are free{without}"
            raise BadArgument(name, path, expected)


def checkpoint_bytes(config: Any) -> float:
    """Of a pixel, in a checkpoint of a run with this config."""
    kept = KEPT_BY_LBFGS if config.model.optimizer == "lbfgs" else KEPT
    return 12 * kept + COLORS.get(config.data.color, 0)


def check_output_file(config: Any, size: int) -> None:
    """Check ``--output``, with its bits, quality and background.

    Raises:
        BadArgument: naming the flag.
    """
    name, value = "background", config.background
    try:
        parse_color(value)
        name, value = "output", config.output
        if value is not None:
            check_output(value, config.bits, size or 1, config.quality)
    except ImageError as error:
        raise BadArgument(name, value, str(error)) from error
