"""Every file in configs/ runs as it stands, and says what the program does anyway."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nst_lightning.cli import main

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
SMALL = ["--data.size", "64", "--trainer.accelerator", "cpu"]


def printed(capsys: pytest.CaptureFixture[str], *flags: str) -> dict:
    capsys.readouterr()
    assert main(["fit", *flags, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs(config, monkeypatch, workdir):
    """If this fails, a config names a setting or a file that does not exist, or its settings do not go together."""
    (workdir / "images").symlink_to(ROOT / "images")
    assert main(["fit", "--config", str(config), *SMALL, "--trainer.fast_dev_run", "true"]) == 0
    assert not (workdir / "logs").exists()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_value_has_a_reason(config):
    """If this fails, a reader of the config is not told why a value is what it is."""
    lines = config.read_text().splitlines()
    assert lines[0].startswith("# ")
    values = [n for n, line in enumerate(lines) if ":" in line and not line.strip().startswith("#") and line[0] == " "]
    reasons = [n for n, line in enumerate(lines) if line.strip().startswith("#")]
    assert len(reasons) >= len(values) / 2


def test_the_defaults_are_those_of_transfer(capsys):
    """If this fails, `fit photo.jpg painting.jpg` and `fit --config configs/transfer.yaml` make different pictures."""
    defaults = printed(capsys)
    config = printed(capsys, "--config", str(ROOT / "configs" / "transfer.yaml"))
    defaults["data"] |= {name: config["data"][name] for name in ("content", "style")}
    assert config == defaults


def test_later_settings_win(capsys, tmp_path):
    """If this fails, an overlay or a flag is overridden by what stands before it."""
    (tmp_path / "a.yaml").write_text("model: {style_weight: 1, tv_weight: 1}")
    (tmp_path / "b.yaml").write_text("model: {style_weight: 2}")
    files = ["--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml")]
    config = printed(capsys, *files, "--model.tv_weight", "3")
    assert (config["model"]["style_weight"], config["model"]["tv_weight"]) == (2, 3)


def test_a_printed_config_runs_again(capsys, tmp_path):
    """If this fails, a run cannot be repeated from its own description."""
    config = printed(capsys, "--config", str(ROOT / "configs" / "texture.yaml"), "--model.optimizer", "Adam")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(config))
    assert printed(capsys, "--config", str(tmp_path / "again.yaml")) == config
    assert config["model"]["optimizer"]["class_path"] == "torch.optim.Adam"


def test_layers_as_a_map(capsys):
    """If this fails, layers cannot be weighted one by one."""
    config = printed(capsys, "--model.style_layers", "{conv_1: 0.5, conv_2: 2}")
    assert config["model"]["style_layers"] == {"conv_1": 0.5, "conv_2": 2}
