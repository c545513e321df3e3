"""Which tiles a run uses: asked for, chosen, and when memory runs out."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from nst_lightning import StyleTransfer
from nst_lightning.errors import BadArgument
from nst_lightning.losses import make_style_losses
from nst_lightning.main import main
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer, layers_of
from nst_lightning.objective import memory, planning
from nst_lightning.objective.graphs import bytes_of_graph
from nst_lightning.objective.memory import budget, is_out_of_memory
from nst_lightning.objective.planning import bytes_per_pixel, largest_tile, plan
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.objective.tiles import grid
from nst_lightning.pictures import mapped
from nst_lightning.training import tile_sizes
from tests.arithmetic import assert_pictures_close
from tests.runs import run_folder

if sys.platform != "win32":
    import resource

pytestmark = pytest.mark.usefixtures("one_thread")

LAYERS = [layer for layer in layers_of("vgg16") if layer <= find_layer("relu4_2", "vgg16")]
SMALL = ["--model.style_layers", "relu1_1", "relu3_1", "--model.content_layers", "relu2_2", "--data.size", "64"]
QUIET = ["--trainer.precision", "32-true", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def deep_network() -> VGGFeatures:
    """The network as a run has it that looks at one deep layer."""
    return VGGFeatures([LAYERS[-1]], VGGSettings("vgg16", "random"))


def fit(pictures: tuple[Path, Path], *flags: str) -> int:
    return main(["fit", *map(str, pictures), *SMALL, *QUIET, *flags])


# ---- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -64, True, 0.5, "all", None])
def test_a_size_that_cannot_be_names_the_argument(value):
    """If this fails, a wrong size of tiles ends in a traceback in the middle of the run."""
    with pytest.raises(BadArgument) as caught:
        StyleTransfer(tile=value)
    assert caught.value.name == "tile" and "auto" in caught.value.expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model.tile", "0"], "--model.tile 0: auto, none, or"),
        (["--model.tile", "-5"], "--model.tile -5: auto, none, or"),
        (["--model.tile", "atuo"], "--model.tile atuo: give one of auto, none, a size in pixels; did you mean 'auto'?"),
    ],
)
def test_bad_sizes_on_the_command_line(pictures, workdir, capsys, flags, message):
    """If this fails, a wrong `--model.tile` is no longer one line with the flag, before anything is written."""
    assert fit(pictures, *flags) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) <= 2
    assert not (workdir / "logs").exists()


# ---- what is chosen --------------------------------------------------------------------------------------------------


def test_auto_is_whole_where_that_fits_and_the_largest_tile_where_not():
    """If this fails, small pictures are made in tiles, or large ones run out of memory."""
    each = bytes_per_pixel(deep_network(), 4)
    assert largest_tile((600, 800), LAYERS, each, each * 600 * 800) is None
    for sides in (600, 1000, 3000):
        tile = largest_tile((8000, 6000), LAYERS, each, each * sides**2)
        assert tile % 8 == 0 and sides - 8 < tile + 2 * 40 <= sides
    # along a strip, tiles are longer than wide
    assert largest_tile((200, 8000), LAYERS, each, each * 200 * 1081) == 1000
    # smaller ones would be overlap for the most part
    assert largest_tile((8000, 6000), LAYERS, each, 1.0) == 256


def test_auto_asks_for_what_is_free(monkeypatch):
    """If this fails, `auto` does not look at the memory, or forgets that it once ran out."""
    features = VGGFeatures([find_layer("relu2_1", "vgg11")], VGGSettings("vgg11", "random"))
    objective = TiledObjective(features, {}, {find_layer("relu2_1", "vgg11"): 1.0}, make_style_losses("gram"), {"style": 1})
    choice, image = tile_sizes.Tiling("auto", objective), torch.zeros(1, 3, 700, 600)
    choice.choose(image)
    assert objective.tile is None
    monkeypatch.setattr(tile_sizes, "budget", lambda device: 3e8)
    choice.choose(image)
    each = bytes_per_pixel(features, 4)
    assert objective.tile is not None and 256 <= objective.tile < 600 and objective.content_limit == 0.25 * 3e8
    assert objective.graph_limit > 0
    assert all((tile.crop(image).numel() / 3) * each + objective.graph_limit <= 3e8 for tile in objective.tiles(image))
    choice.limit = 64
    choice.choose(image)
    assert objective.tile == 64 and objective.graph_limit == 0
    choice.limit = None
    tile_sizes.Tiling(300, objective).choose(image)  # a size that is given: as little memory as it takes
    assert objective.tile == 300 and objective.graph_limit == 0
    none = tile_sizes.Tiling("none", objective)
    none.choose(image)
    assert objective.tile is None


def test_half_precision_takes_half_the_memory():
    """If this fails, the estimate does not know the precision."""
    half, single = (bytes_per_pixel(deep_network(), size) for size in (2, 4))
    assert half < single < 2 * half  # where a ReLU was positive is of one size


def test_tiles_are_the_fastest_that_the_memory_allows():
    """If this fails, a large picture takes longer than it could: tiles are computed twice, or overlap for nothing."""
    network, shape = deep_network(), (4096, 4096)
    each, graph = bytes_per_pixel(network, 2), bytes_of_graph(network, torch.bfloat16)
    assert plan(shape, network, each, graph, each * 4096**2) == (None, 0)
    known = None
    for available in (16e9, 10e9, 6e9, 3e9, 1e9):
        found = plan(shape, network, each, graph, available)
        crops = [np.prod(tile.sides) for tile in grid(shape, found.tile, network.layers, False)]
        assert max(crops) * each + found.graphs <= available
        # by hand: two passes forward and 1.1 back, without the second one of what is kept
        time = sum(crops) * (3.1 - min(1, found.graphs / (graph * sum(crops))))
        assert known is None or time >= known
        known = time
        for other in range(256, 4096, 128):
            crops = [np.prod(tile.sides) for tile in grid(shape, other, network.layers, False)]
            left = available - max(crops) * each
            if left >= 0:
                assert time <= 1.02 * sum(crops) * (3.1 - min(1, left / (graph * sum(crops))))
    # where one pass is enough, the largest
    assert plan(shape, network, each, graph, 3e9, again=False) == (largest_tile(shape, network.layers, each, 3e9), 0)


def test_the_budget_is_what_is_left_in_the_control_group(tmp_path):
    """If this fails, a run in a container with a limit plans with the memory of the whole machine."""
    group = tmp_path / "job" / "inner"
    group.mkdir(parents=True)
    (tmp_path / "job" / "memory.max").write_text("3000\n")
    (tmp_path / "job" / "memory.current").write_text("1500\n")
    (tmp_path / "job" / "memory.stat").write_text("anon 900\ninactive_file 500\n")
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1500\n")
    (tmp_path / "cgroup").write_text("0::/job/inner\n")
    assert list(memory._left_in_groups(tmp_path, tmp_path / "cgroup")) == [2000.0]
    old = tmp_path / "memory"
    old.mkdir()
    (old / "memory.limit_in_bytes").write_text("700\n")
    (old / "memory.usage_in_bytes").write_text("600\n")
    (tmp_path / "cgroup").write_text("5:cpu:/x\n4:cpuacct,memory:/of/the/host\n")
    assert list(memory._left_in_groups(tmp_path, tmp_path / "cgroup")) == [100.0]


@pytest.fixture
def no_proc(monkeypatch):
    """A system without /proc and /sys, such as macOS or Windows."""
    monkeypatch.setattr(memory, "_read", lambda path: "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def free(monkeypatch, answer) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", answer)


def test_the_budget_is_half_of_what_is_free_on_every_system(monkeypatch, no_proc):
    """If this fails, `auto` plans with endless memory where there is no /proc, and never tiles."""
    assert 0 < budget(torch.device("cpu")) < float("inf")
    free(monkeypatch, lambda: SimpleNamespace(available=6e9))
    assert budget(torch.device("cpu")) == 3e9

    def fails():
        raise psutil.AccessDenied

    free(monkeypatch, fails)  # unknown: tiles come when memory runs out
    assert budget(torch.device("cpu")) == float("inf")


def test_auto_tiles_where_there_is_no_proc(pictures, workdir, monkeypatch, no_proc):
    """If this fails, a large picture is computed whole on macOS and Windows, and takes the memory of all programs."""
    used = []
    original = TiledObjective.forward

    def forward(self, *args):
        used.append(self.tile)
        return original(self, *args)

    monkeypatch.setattr(TiledObjective, "forward", forward)
    monkeypatch.setattr(planning, "SMALLEST", 16)
    flags = ["--trainer.max_steps", "1", "--model.scales", "none", "--model.style_loss", "gram"]
    assert fit(pictures, *flags) == 0
    assert set(used) == {None}
    used.clear()
    free(monkeypatch, lambda: SimpleNamespace(available=12e6))
    assert fit(pictures, *flags) == 0
    assert used and all(16 <= tile < 64 for tile in used)


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
def test_the_budget_knows_a_limit_of_address_space(monkeypatch):
    """If this fails, `auto` plans with more than the batch system lets the process have."""
    taken = psutil.Process().memory_info().vms
    for limit, left in ((taken + 2**30, 2**30), (taken // 2, 0)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limit=limit: (limit, limit))
        assert budget(torch.device("cpu")) == pytest.approx(left / 2, abs=2**26)


@pytest.mark.parametrize(("system", "unit"), [("darwin", 1), ("freebsd", 1024), ("win32", 1)])
def test_the_peak_is_known_on_every_system(monkeypatch, no_proc, system, unit):
    """If this fails, a study has no peak memory, or a wrong one, on macOS or Windows."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=5000))
    asked = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=5000))
    monkeypatch.setattr(psutil, "Process", lambda: asked)
    assert memory.peak_memory() == 5000 * unit


def test_the_peak_is_at_least_what_is_held(monkeypatch):
    """If this fails, the peak is of another unit, or of another process."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    memory.reset_peak_memory()
    block = torch.ones(64 << 20, dtype=torch.uint8)
    assert memory.peak_memory() >= 0.9 * psutil.Process().memory_info().rss >= 0.9 * block.numel()


# ---- runs ------------------------------------------------------------------------------------------------------------


def picture(folder: Path) -> np.ndarray:
    return np.asarray(Image.open(folder / "result.png")).astype(int)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_run_in_tiles_makes_the_same_picture_and_resumes_in_others(pictures, workdir, optimizer):
    """If this fails, the size of tiles changes the picture, or a checkpoint is bound to one."""
    flags = ["--model.optimizer", optimizer, "--trainer.max_steps", "8", "--model.tv_weight", "0.01"]
    flags += ["--model.scales", "[{size: 0.75, steps: 1}, {size: 1.0, steps: 1}]", "--model.style_loss", "gram"]
    flags += ["--checkpoint.every_n_train_steps", "2", "--checkpoint.save_top_k", "-1"]
    runs = workdir / "logs" / "transfer"
    assert fit(pictures, *flags, "--model.tile", "none") == 0
    assert fit(pictures, *flags, "--model.tile", "24") == 0
    start = run_folder(1, runs) / "checkpoints" / "step=2.ckpt"
    assert fit(pictures, *flags, "--model.tile", "17", "--ckpt_path", str(start)) == 0
    whole, tiled, resumed = (picture(run_folder(version, runs)) for version in range(3))
    assert_pictures_close(tiled, whole)
    assert_pictures_close(resumed, whole)
    saved = torch.load(run_folder(2, runs) / "checkpoints" / "step=8.ckpt", weights_only=True)
    assert saved["hyper_parameters"]["tile"] == 17 and set(saved["state_dict"]) == {"image"}


def no_room(*args):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_content_features_that_do_not_fit_are_kept_in_a_file_or_computed_in_each_step(pictures, workdir, monkeypatch):
    """If this fails, pictures whose content features are too large for the memory come out differently, or take longer."""
    kept = []
    original = TiledObjective.set_targets

    def record(self, *args):
        original(self, *args)
        kept.append([mapped.is_mapped(one) for one in self.content_targets.values()])

    monkeypatch.setattr(TiledObjective, "set_targets", record)
    flags = ["--trainer.max_steps", "3", "--model.scales", "none", "--model.tile", "24"]
    assert fit(pictures, *flags) == 0
    monkeypatch.setattr(tile_sizes, "KEPT", 0.0)
    monkeypatch.setattr(mapped, "on_disk", lambda: True)
    assert fit(pictures, *flags) == 0
    with monkeypatch.context() as patch:
        patch.setattr(mapped, "in_file", no_room)
        assert fit(pictures, *flags) == 0
    monkeypatch.setattr(mapped, "on_disk", lambda: False)
    assert fit(pictures, *flags) == 0
    runs = workdir / "logs" / "transfer"
    assert kept == [[False], [True], [], []]
    for number in (1, 2, 3):
        assert abs(picture(run_folder(0, runs)) - picture(run_folder(number, runs))).max() == 0


# ---- out of memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("could not create a primitive"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, out):
    """If this fails, another error is answered with smaller tiles, or this one is not."""
    assert is_out_of_memory(error) is out


def limit_pixels(monkeypatch, most: int) -> None:
    """Let the network fail as the allocator does for crops of more than so many pixels."""
    original = VGGFeatures.forward

    def forward(self, image, *args):
        if image.shape[2] * image.shape[3] > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
        return original(self, image, *args)

    monkeypatch.setattr(VGGFeatures, "forward", forward)
    monkeypatch.setattr(tile_sizes, "FLOOR", 8)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_run_that_is_out_of_memory_goes_on_with_smaller_tiles(pictures, workdir, capsys, monkeypatch, optimizer):
    """If this fails, a long run ends at the scale that does not fit, or the picture is another after it."""
    scales = ["--model.scales", "[{size: 0.5, steps: 2}, {size: 1.0, steps: 2}]", "--model.style_loss", "gram"]
    flags = [*scales, "--trainer.max_steps", "6", "--model.optimizer", optimizer]
    assert fit(pictures, *flags) == 0
    capsys.readouterr()
    limit_pixels(monkeypatch, 40 * 48)
    assert fit(pictures, *flags) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "out of memory" in line]
    assert lines[0] == "out of memory at step 3: going on with tiles of 32 px"
    runs = workdir / "logs" / "transfer"
    assert_pictures_close(picture(run_folder(1, runs)), picture(run_folder(0, runs)))


def test_memory_that_runs_out_within_a_step(pictures, workdir, capsys, monkeypatch):
    """If this fails, a step that failed half-way is lost, counts twice, or leaves its gradient behind."""
    flags = ["--model.scales", "none", "--trainer.max_steps", "4", "--model.style_loss", "gram"]
    assert fit(pictures, *flags) == 0
    original, calls = TiledObjective.forward, []

    def forward(self, image, step=0):
        terms = original(self, image, step)
        if not torch.is_grad_enabled():  # a look at the result
            return terms
        calls.append((step, self.tile))
        if step == 2 and self.tile is None:
            terms["loss"].backward()  # leaves a gradient
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return terms

    monkeypatch.setattr(TiledObjective, "forward", forward)
    monkeypatch.setattr(tile_sizes, "FLOOR", 8)
    assert fit(pictures, *flags) == 0
    assert calls == [(0, None), (1, None), (2, None), (2, 32), (3, 32)]
    runs = workdir / "logs" / "transfer"
    assert_pictures_close(picture(run_folder(1, runs)), picture(run_folder(0, runs)))


@pytest.mark.parametrize("flags", [["--model.tile", "none"], ["--model.tile", "12"]])
def test_what_cannot_be_made_smaller_ends_with_the_error(pictures, workdir, monkeypatch, flags):
    """If this fails, a run without a way out repeats its step for ever, or hides the reason."""
    limit_pixels(monkeypatch, 0)
    with pytest.raises(RuntimeError, match="allocate memory"):
        fit(pictures, "--trainer.max_steps", "1", *flags)


REAL = """
import resource, sys, torch
from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.training import tile_sizes
from tests.arithmetic import assert_pictures_close
import lightning as L

torch.set_num_threads(1)
tile_sizes.FLOOR = 8
tile_sizes.budget = lambda device: float("inf")


class Limit(L.Callback):
    def on_train_batch_start(self, *args):  # what follows may take 80 MiB more; the whole image takes 400
        used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
        resource.setrlimit(resource.RLIMIT_AS, ((used << 10) + (80 << 20),) * 2)


def fit(tile, *callbacks):
    module = StyleTransfer(["relu1_2"], ["relu1_1", "relu2_1"], style_loss="gram", scales="none", tile=tile)
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "callbacks": list(callbacks)}
    trainer = L.Trainer(accelerator="cpu", max_steps=1, enable_model_summary=False, limit_val_batches=0, **silent)
    trainer.fit(module, datamodule=ImagePair(sys.argv[1], sys.argv[2], 448))
    return module

expected = fit(64).result
module = fit("auto", Limit())
assert module.objective.tile is not None, "nothing failed"
print("difference", float((module.result - expected).abs().mean()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
@pytest.mark.slow
def test_an_allocation_that_really_fails(pictures):
    """If this fails, torch says in other words than expected that memory is out, or the failed step keeps its memory."""
    # glibc would keep what the first run freed, at times enough for all that the second one needs
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    command = [sys.executable, "-c", REAL, *map(str, pictures)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "out of memory at step" in run.stdout
    assert float(run.stdout.split()[-1]) < 1e-4
