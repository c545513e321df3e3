"""Short forms of the command line, and what is answered before torch is loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_lightning.cli import help as texts
from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.cli.flags import ALIASES, full_name, table, what_is_wrong
from nst_lightning.cli.words import expand
from nst_lightning.main import main
from tests.runs import run_folder

ODD = [
    "a b.png",
    'quo"te.png',
    "back\\slash.png",
    "[1].png",
    "{x}.png",
    "a,b.png",
    "#.png",
    "it's.png",
    "null.png",
    "é.png",
]
SMALL = ["--size", "32", "--steps", "1", "--trainer.logger", "false"]


def config_of(*words: str) -> dict:
    return NSTCommandLine(["fit"], until="parsed").resolve(["fit", *words])


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("equals", [False, True], ids=["apart", "="])
def test_any_name_of_a_file_reaches_the_pictures(name, equals, pictures, workdir):
    """If this fails, a picture with a character that JSON, YAML or the shell knows cannot be given."""
    shutil.copy(pictures[0], name)
    flags = (
        [f"--data.style={name}", f"--output=out {name}"] if equals else ["--data.style", name, "--output", f"out {name}"]
    )
    assert main(["fit", name, *flags, *SMALL]) == 0
    assert Path(f"out {name}").is_file()


def test_several_odd_names_in_one_list():
    """If this fails, names in a list are cut or joined."""
    assert json.loads(expand(["fit", "--style", *ODD])[1].partition("=")[2]) == ODD
    assert config_of("--style", *ODD)["data"]["style"] == ODD


@pytest.mark.parametrize(
    ("words", "full"),
    [
        (["a.jpg", "b.jpg", "-o", "c.png"], ["--data.content=a.jpg", '--data.style=["b.jpg"]', "--output=c.png"]),
        (["--size=64", "a.jpg"], ["--data.size=64", "--data.content=a.jpg"]),
        (["--steps", "3", "--seed", "5"], ["--trainer.max_steps=3", "--seed_everything=5"]),
        (["--pooling", "average"], ["--model.features.pooling=average"]),
        (["--optimizer.lr", "0.5"], ["--model.optimizer.lr=0.5"]),
        (["--callbacks+=Timer"], ["--trainer.callbacks+=Timer"]),
        (["--style", "[a.jpg, b.jpg]"], ["--data.style=[a.jpg, b.jpg]"]),
        (["--style", "null"], ["--data.style=null"]),
        (["--style_layers", "{conv_1: 1, conv_2: 2}"], ["--model.style_layers={conv_1: 1, conv_2: 2}"]),
        (["--tv_weight", "-1"], ["--model.tv_weight=-1"]),
        (["--style_weight", "--size"], ["--model.style_weight", "--data.size"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_short_forms(words, full):
    """If this fails, a short form means something else than the long one, or a long one is changed."""
    assert expand(["fit", *words]) == ["fit", *full]
    assert expand(expand(["fit", *words])) == ["fit", *full], "in full already"


def test_recipes_lie_over_configs_and_under_flags(workdir):
    """If this fails, a recipe overrides what was typed, or a config overrides the recipe."""
    Path("mine.yaml").write_text("model: {style_weight: 3.0, content_weight: 4.0}\n")
    expected = config_of("--recipe", "johnson")["model"]
    found = config_of("--recipe", "johnson", "--config", "mine.yaml", "--tv_weight", "7")["model"]
    assert found["tv_weight"] == 7.0 != expected["tv_weight"]
    assert found["style_weight"] == expected["style_weight"] != 3.0
    both = expand(["fit", "a.jpg", "--recipe", "gatys", "crowson", "b.jpg"])
    assert [Path(word).name for word in both[1:3]] == ["gatys.yaml", "crowson.yaml"]
    assert both[3:] == ["--data.content=a.jpg", '--data.style=["b.jpg"]']


@pytest.mark.parametrize("where", ["flag", "config"])
def test_home_in_every_path(where, pictures, workdir, monkeypatch):
    """If this fails, `--output=~/x.png` makes a folder called ~."""
    monkeypatch.setenv("HOME", str(workdir / "me"))
    monkeypatch.setenv("USERPROFILE", str(workdir / "me"))
    shutil.copytree(pictures[0].parent, workdir / "me")
    content, style = (f"~/{picture.name}" for picture in pictures)
    if where == "flag":
        words = [f"--content={content}", f"--style={style}", f"--init={style}", "--output=~/new/out.png"]
        words += ["--trainer.default_root_dir=~/runs", "--checkpoint.dirpath", "~/points"]
    else:
        Path("home.yaml").write_text(
            f"data: {{content: {content}, style: [{style}]}}\nmodel: {{init: {style}}}\noutput: ~/new/out.png\n"
            "trainer: {default_root_dir: ~/runs}\ncheckpoint: {dirpath: ~/points}\n"
        )
        words = ["--config", "home.yaml"]
    assert main(["fit", *words, "--size", "32", "--steps", "1"]) == 0
    assert {path.name for path in (workdir / "me").iterdir()} >= {"new", "runs", "points"}
    assert not Path("~").exists() and not Path("logs").exists()
    (checkpoint,) = (workdir / "me" / "points").iterdir()
    resumed = [*words, "--size", "32", "--steps", "2", "--ckpt_path=~/points"]
    assert main(["fit", *resumed]) == 0
    assert checkpoint.parent.name == "points"


def test_logs_go_where_lightning_users_expect_them(pictures, workdir):
    """If this fails, `default_root_dir` is ignored, or a logger's own folder is."""
    words = ["fit", *map(str, pictures), "--size", "32", "--steps", "1"]
    assert main([*words, "--trainer.default_root_dir", "X"]) == 0
    assert (run_folder(0, "X/transfer") / "result.png").is_file()
    assert main([*words, "--trainer.default_root_dir", "X", "--trainer.logger.init_args.save_dir", "Y"]) == 0
    assert sorted(path.name for path in workdir.iterdir()) == ["X", "Y"]


def test_a_single_callback_need_not_be_a_list(pictures, workdir):
    """If this fails, `--trainer.callbacks LearningRateMonitor` is a TypeError."""
    Path("one.yaml").write_text("trainer: {callbacks: {class_path: LearningRateMonitor}}\n")
    for given in (["--trainer.callbacks", "LearningRateMonitor"], ["--config", "one.yaml"], ["--callbacks", "Timer"]):
        assert main(["fit", *map(str, pictures), "--size", "32", "--steps", "1", *given]) == 0


def test_nothing_but_the_output_without_a_logger(pictures, workdir):
    """If this fails, `--output` with no logger leaves checkpoints where one stands, or needs that folder."""
    assert main([*map(str, pictures), "-o", "out.png", *SMALL]) == 0
    assert [path.name for path in workdir.iterdir()] == ["out.png"]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a read-only folder")
def test_a_current_folder_that_cannot_be_written(pictures, tmp_path):
    """If this fails, a run needs its current folder although everything is written elsewhere."""
    (tmp_path / "ro").mkdir()
    mounted = 'mount -t tmpfs -o ro none "$0" && cd "$0" && exec "$@"'
    here = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted, str(tmp_path / "ro")]
    if shutil.which("unshare") is None or subprocess.run([*here, "true"], capture_output=True).returncode:
        pytest.skip("no mounts here")
    words = [*here, sys.executable, "-m", "nst_lightning", *map(str, pictures), *SMALL[:4]]
    refused = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 2 and "--trainer.default_root_dir" in refused.stderr, refused.stderr
    done = subprocess.run([*words, "-o", str(tmp_path / "a.png"), *SMALL[4:]], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and (tmp_path / "a.png").is_file(), done.stderr


def test_the_table_of_flags_is_the_parser_s():
    """If this fails, a flag that there is is refused before the parser sees it, or one that there is not is not."""
    known = {f"{section}.{name}".lstrip(".") for section, names in table().items() for name in names}
    parser = NSTCommandLine(["fit"], until="parsed").fit_parser
    flags = {flag for flag in parser.flags() if not flag.endswith((".help", "+"))} - {"data", "model", "log", "trainer"}
    flags -= {"checkpoint", "model.features"}  # whole sections
    known.discard("model.features")
    assert flags - known == set()
    assert known - flags == {"preset", "recipe", "help_all"}  # answered before the parser
    assert {name[2:] for name in ALIASES.values()} <= flags


NO_TORCH = (
    "import sys; from nst_lightning.__main__ import main; code = main(); assert 'torch' not in sys.modules; sys.exit(code)"
)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "usage: nst PHOTO PAINTING"),
        (["fit", "-h"], 0, "more of the painting"),
        (["compare", "-h"], 0, "which results do people prefer?"),
        (["compare", "a", "--sead", "1"], 2, "did you mean '--seed'?"),
        (["compare", "--tally", "answers.csv"], 2, "--key: give the key.json"),
        (["--version"], 0, version("nst_lightning")),
        ([], 2, "nothing to do"),
        (["fti"], 2, "did you mean 'fit'?"),
        (["fit", "a.jpg", "b.jpg"], 2, "--data.content a.jpg: no such file"),
        (["--sise", "3"], 2, "--sise: no such flag"),
        (["--config", "a.yaml"], 2, "--config a.yaml: cannot be read"),
        (["--ckpt_path", "logs/nothing"], 2, "--ckpt_path logs/nothing: no such file or folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_without_torch(words, code, said, workdir):
    """If this fails, who asks for help or mistypes waits for seconds."""
    done = subprocess.run([sys.executable, "-c", NO_TORCH, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("text", [texts.PROGRAM, texts.FIT], ids=["nst", "fit"])
def test_help_is_one_screen(text):
    """If this fails, the help runs over a terminal of 80 x 24, or names a flag that there is not."""
    lines = text.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    for word in text.replace(")", " ").replace(";", " ").replace(",", " ").split():
        if word.startswith("--") and word != "--version":
            assert not what_is_wrong(full_name(word)), word


def test_the_short_command_is_the_long_one(pictures, workdir):
    """If this fails, `nst photo.jpg painting.jpg -o out.png` is not what `fit` with its long flags is."""
    content, style = map(str, pictures)
    assert main([content, style, "-o", "a.png", "--size", "32", "--steps", "3", "--seed", "2", "--init", "noise"]) == 0
    long = ["--data.content", content, "--data.style", style, "--output", "b.png", "--data.size", "32"]
    long += ["--trainer.max_steps", "3", "--seed_everything", "2", "--model.init", "noise"]
    assert main(["fit", *long]) == 0
    assert np.array_equal(*(np.asarray(Image.open(name)) for name in ("a.png", "b.png")))


def test_the_demo_paints(workdir):
    """If this fails, who has only installed the package cannot see it work."""
    assert main(["demo", "--size", "32", "--steps", "1"]) == 0
    assert Image.open("nst_demo.png").size == (32, 24)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["study", "--help"], "nst study: a grid of pictures"),
        (["study", "galery"], "did you mean 'gallery'?"),
        (["study", "gallery", "--data.sise", "3"], "--data.sise: no such flag"),
        (["study", "gallery", "--data.content", "nope.jpg"], "--data.content nope.jpg: no such file"),
        (["study", "gallery", "--engine", "spark"], "spark"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_study_answers_without_torch(words, said, workdir):
    """If this fails, who mistypes a study waits for seconds."""
    done = subprocess.run([sys.executable, "-c", NO_TORCH, *words], capture_output=True, text=True, timeout=60)
    assert said in done.stdout + done.stderr, done.stderr
    assert done.returncode == (0 if "--help" in words else 2), done.stderr


def test_a_picture_that_is_much_enlarged_is_named(pictures, workdir, capsys):
    """If this fails, a thumbnail is painted for minutes at a size at which it is a blur, without a word."""
    quick = [
        "--steps=1",
        "--data.size=64",
        "--model.scales=none",
        "--model.style_layers=[conv_1]",
        "--model.content_layers=[conv_1]",
    ]
    for name, said in (("tiny.png", True), ("small.png", False)):
        side = 12 if said else 30
        Image.new("RGB", (side, 8), (200, 100, 50)).save(name)
        assert main(["fit", name, str(pictures[1]), *quick, "-o", "out.png"]) == 0
        found = "tiny.png has 12 x 8 pixels and is enlarged 5 times" in capsys.readouterr().out
        assert found is said
