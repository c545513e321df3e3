"""Checkpoints that are written while the run goes on are those of their step, and what goes wrong is said."""

from __future__ import annotations

import threading

import lightning as L
import pytest
import torch

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.training import checkpoint_io
from nst_lightning.training.checkpoint_io import AtomicCheckpointIO, BesideCheckpointIO
from nst_lightning.training.checkpoints import NewestCheckpoint

STEPS, EVERY = 7, 4


class Slow(AtomicCheckpointIO):
    """Writes the first checkpoint when the run is almost at its end, as a slow disk would."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.threads = []
        self.broken = False

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        self.threads.append(threading.current_thread())
        if self.broken:
            raise OSError(28, "No space left on device")
        if checkpoint["global_step"] == EVERY:
            assert self.may.wait(60)
        super().save_checkpoint(checkpoint, path)


class Going(L.Callback):
    """Lets the disk go on after the last step but one, and keeps the image of each step."""

    def __init__(self, disk: Slow) -> None:
        self.disk = disk
        self.images = {}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.images[trainer.global_step] = pl_module.image.detach().clone()
        if trainer.global_step == STEPS - 1:
            assert self.disk.threads, "nothing was to be written"
            self.disk.may.set()


@pytest.fixture
def disk():
    return Slow()


def run(pictures, folder, disk, every=EVERY):
    """Seven steps with a checkpoint after the fourth and at the end; the image of each step."""
    io, going = BesideCheckpointIO(disk), Going(disk)
    saving = NewestCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=every, save_top_k=1)
    quiet = {"logger": False, "enable_progress_bar": False, "accelerator": "cpu", "enable_model_summary": False}
    trainer = L.Trainer(max_steps=STEPS, callbacks=[going, saving], plugins=[io], **quiet)
    module = StyleTransfer(style_layers=["relu1_1"], content_layers=["relu2_1"], scales="none", optimizer="adam")
    trainer.fit(module, datamodule=ImagePair(*map(str, pictures), size=32))
    return going.images


@pytest.mark.parametrize("most", [1 << 30, 0])
def test_a_checkpoint_that_is_written_late_is_that_of_its_step(pictures, tmp_path, monkeypatch, disk, most):
    """If this fails, a run waits for the disk, or one that is resumed goes on from a mixture of steps."""
    monkeypatch.setattr(checkpoint_io, "MOST", most)
    if not most:  # too large to be copied: the run waits, and the disk must not wait for the run
        disk.may.set()
    images = run(pictures, tmp_path, disk)
    main = threading.main_thread()
    assert [thread is main for thread in disk.threads] == [not most, True]  # the last one has nothing to be beside
    for step in (EVERY, STEPS):
        saved = torch.load(tmp_path / f"step={step}.ckpt", weights_only=True)
        assert torch.equal(saved["state_dict"]["image"], images[step])
        assert float(saved["optimizer_states"][0]["state"][0]["step"]) == step


def test_a_disk_that_breaks_meanwhile_ends_the_run(pictures, tmp_path, disk):
    """If this fails, a run of hours goes on without checkpoints because nobody heard that the disk is full."""
    disk.broken = True
    with pytest.raises(OSError, match="No space left"):
        run(pictures, tmp_path, disk, every=1)
    assert len(disk.threads) <= 3 and not list(tmp_path.iterdir())


def test_the_old_one_stays_until_the_new_one_is_there(tmp_path, disk):
    """If this fails, a run that is killed while its best checkpoint is written has none, or a full disk takes both."""
    io = BesideCheckpointIO(disk)
    io.save_checkpoint({"global_step": 1}, tmp_path / "old.ckpt")
    with io.beside():
        io.save_checkpoint({"global_step": EVERY}, tmp_path / "new.ckpt")
        io.remove_checkpoint(tmp_path / "old.ckpt")
        assert [path.name for path in tmp_path.glob("*.ckpt")] == ["old.ckpt"]
        disk.may.set()
        io.teardown()
        assert [path.name for path in tmp_path.glob("*.ckpt")] == ["new.ckpt"]
        disk.broken = True
        with pytest.raises(OSError, match="No space left"):
            io.save_checkpoint({"global_step": 2}, tmp_path / "newer.ckpt")
            io.remove_checkpoint(tmp_path / "new.ckpt")
            io.teardown()
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["new.ckpt"]


def test_what_went_wrong_is_said_once(tmp_path, disk):
    """If this fails, a run that makes room on its disk and goes on is told of the old fault at every checkpoint."""
    io = BesideCheckpointIO(disk)
    disk.broken = True
    with io.beside():
        with pytest.raises(OSError, match="No space left"):
            io.save_checkpoint({"global_step": 0}, tmp_path / "a.ckpt")
            io.teardown()
        io.see()
        disk.broken = False
        io.save_checkpoint({"global_step": 1}, tmp_path / "b.ckpt")
    assert io.load_checkpoint(tmp_path / "b.ckpt") == {"global_step": 1}  # waits for it
