"""Studies: what a study file means, and what is written when it runs."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.main import main
from nst_lightning.study.cells import Outcome
from nst_lightning.study.grid import StudyFile, cells_of, read_study
from nst_lightning.study.options import parse
from nst_lightning.study.page import Results
from nst_lightning.study.plan import Plan, _essence
from nst_lightning.study.results import load

STUDIES = sorted((Path(__file__).parents[2] / "configs" / "studies").glob("*.yaml"))


def write(path: Path, **content) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def base(workdir, pictures) -> str:
    """A config whose runs take a moment."""
    content, style = map(str, pictures)
    model = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"], "scales": "none"}
    config = {"data": {"content": content, "style": style, "size": 32}, "model": model, "trainer": {"max_steps": 3}}
    return str(write(workdir / "base.yaml", **config))


@pytest.fixture
def grid(workdir, base) -> Path:
    """Two initialisations by two style weights."""
    rows = {"setting": "model.init", "values": ["noise", "content"]}
    columns = {"setting": "model.style_weight", "values": [1, "1e3"]}
    return write(workdir / "grid.yaml", title="Weights", base=base, text="Look.", rows=rows, columns=columns)


def run(*words: object) -> int:
    return main(["study", *map(str, words)])


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ---- what a study file means -----------------------------------------------------------------------------------------


def test_every_study_of_the_repository_is_understood(monkeypatch):
    """Fails if a study file has a key, a setting or a pattern that is not understood: its command would end at once."""
    monkeypatch.chdir(Path(__file__).parents[2])
    assert len(STUDIES) == 12
    for path in STUDIES:
        plan = Plan(str(path), [], Path("logs"), {})
        assert len(plan.cells) >= 2 and plan.study.text, path
        assert len(set(plan.keys)) == len(plan.cells), f"{path}: two cells are the same run"


def test_patterns_and_folders_are_the_files_in_them(workdir):
    """Fails if a pattern or a folder is taken for a picture, or its files come in another order than by name."""
    for name in ("b", "a", "c"):
        Image.new("RGB", (8, 8)).save(workdir / f"{name}.png")
    for value in ("[ab].png", "*.png", "."):
        study = StudyFile("t", columns={"setting": "data.content", "values": [value]})  # type: ignore[arg-type]
        path = write(workdir / "s.yaml", title="t", columns=study.columns)
        _, columns, cells = cells_of(read_study(str(path)), str(path))
        expected = ["a", "b"] if value == "[ab].png" else ["a", "b", "c"]
        assert [cell.name for cell in cells] == expected
        assert [Path(str(mark.picture)).stem for mark in columns] == expected


def planned(path: Path, **content) -> Plan:
    return Plan(str(write(path, **({"title": "T"} | content))), ["--data.size", "32"], Path("logs"), {})


def test_files_that_share_a_name_have_labels_that_differ(workdir, pictures):
    """If this fails, a.jpg beside a.png, or beside b/a.jpg, is refused, or one cell is written over another."""
    picture = Image.open(pictures[0]).convert("RGB")
    for name in ("a.jpg", "a.png", "b.png", "sub/a.png", "sub/A!.png", "sub/a?.png"):
        (workdir / name).parent.mkdir(exist_ok=True)
        picture.save(workdir / name)
    own = {"data.content": str(pictures[0]), "data.style": str(pictures[1])}
    both = planned(
        workdir / "s.yaml", settings=own, columns={"setting": "data.content", "values": ["a.jpg", "a.png", "b.png"]}
    )
    assert [mark.label for mark in both.columns] == ["a.jpg", "a.png", "b"]
    assert [cell.name for cell in both.cells] == ["a.jpg", "a.png", "b"]
    folder = planned(workdir / "f.yaml", settings=own, columns={"setting": "data.content", "values": ["."]})
    assert [mark.label for mark in folder.columns] == ["a.jpg", "a.png", "b"]
    apart = planned(workdir / "t.yaml", settings=own, columns={"setting": "data.style", "values": ["a.png", "sub/a.png"]})
    assert [mark.label for mark in apart.columns] == ["a.png", "sub/a.png"]
    alike = planned(
        workdir / "u.yaml", settings=own, columns={"setting": "data.style", "values": ["sub/A!.png", "sub/a?.png"]}
    )
    names = [cell.name for cell in alike.cells]
    assert len(set(names)) == 2 and [mark.label for mark in alike.columns] == ["A!", "a?"]


def test_a_factor_is_of_what_the_cell_has_without_it(workdir, base, pictures):
    """If this fails, methods whose weights are of different sizes cannot be compared along their trade-off."""
    (workdir / "strong.yaml").write_text("model: {style_weight: 30}")
    columns = {"setting": ["data.content", "model.style_weight"], "values": [[str(pictures[1]), "x0.25"], ["x2", "x4"]]}
    rows = {"setting": "config", "values": [base, "strong.yaml"]}
    plan = planned(workdir / "s.yaml", title="t", base=base, rows=rows, columns=columns)
    found = [(config["model"]["style_weight"], config["data"]["content"]) for config in plan.configs]
    own = plan.configs[0]["model"]["style_weight"] * 4
    # a picture may be called so: a factor is of numbers only
    assert found == [(own / 4, str(pictures[1])), (4 * own, "x2"), (7.5, str(pictures[1])), (120.0, "x2")]


@pytest.mark.slow
def test_distances_are_plotted_against_each_other(workdir, base, pictures):
    """If this fails, the plot of a study shows other values than its table, or pictures as if they were methods."""
    columns = {"setting": ["data.content", "model.style_weight"]}
    columns["values"] = [[str(picture), factor] for picture in pictures for factor in ("x0.5", "x2")]
    rows = {"setting": "model.init", "values": ["content", "gray"]}
    names = ["content_distance", "noise"]
    study = write(workdir / "s.yaml", title="t", base=base, rows=rows, columns=columns, scatter=names)
    assert run(study, "--output", "out", "--data.size", "48") == 0
    table = rows_of(workdir / "out/s")
    plan = Plan(str(study), ["--data.size", "48"], workdir / "out", {})
    cells = [plan.folder / "cells" / cell.name for cell in plan.cells]
    results = Results(plan, [load(cell, key) for cell, key in zip(cells, plan.keys, strict=True)])
    series = results.series()
    assert [name for name, _ in series.values()] == ["content", "gray"]
    for row, (_, points) in enumerate(series.values()):
        for number, point in enumerate(points):
            pair = [table[4 * row + number], table[4 * row + 2 + number]]
            assert point == pytest.approx([sum(float(cell[name]) for cell in pair) / 2 for name in names])
    assert Image.open(workdir / "out/s/scatter.png").width > 500
    page = (workdir / "out/s/index.html").read_text()
    assert page.count('class="series"') == 2 and page.count('class="dots"') == 2 and "Content distance and noise" in page


def test_names_of_cells_are_short_and_differ(workdir, pictures):
    """If this fails, long labels make a folder that no file system can have, or two cells share one."""
    labels = ["x" * 300 + end for end in ("a", "b")]
    columns = {"setting": "model.style_weight", "values": [1, 2], "labels": labels}
    rows = {"setting": "seed_everything", "values": [0, 1], "labels": labels}
    own = {"data.content": str(pictures[0]), "data.style": str(pictures[1])}
    plan = planned(workdir / "s.yaml", rows=rows, columns=columns, settings=own)
    names = [cell.name for cell in plan.cells]
    assert len(set(names)) == 4 and all(len(name.encode()) < 200 for name in names)


def test_configs_and_studies_by_name(workdir, pictures, monkeypatch):
    """If this fails, a study file needs a base, or a shipped config or study is found in the repository only."""
    own = {"data.content": str(pictures[0]), "data.style": str(pictures[1])}
    configs = {"setting": "config", "values": ["transfer", "gatys", "configs/recipes/john*.yaml"]}
    plan = planned(workdir / "s.yaml", columns=configs, settings=own)
    assert [mark.label for mark in plan.columns] == ["transfer", "gatys", "johnson"]
    assert "nearest_neighbor" in plan.configs[0]["model"]["style_loss"] and plan.configs[2]["model"]["init"] == "noise"
    (workdir / "transfer").write_text("model: {style_weight: 77}\n")  # a file of one's own comes first
    assert planned(workdir / "s.yaml", settings=own).configs[0]["model"]["style_weight"] == 77
    mine = [flag for name, value in own.items() for flag in (f"--{name}", value)]
    shipped = Plan("texture_noise", mine, Path("logs"), {})
    assert shipped.name == "texture_noise" and len(shipped.cells) == 2


def test_help(capsys):
    """If this fails, the help does not fit a screen, is not true, or does not come without torch."""
    assert main(["study", "--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 30 and max(map(len, text.splitlines())) <= 100
    assert main(["study", "gallery", "--help_all"]) == 0
    everything = capsys.readouterr().out
    options, _ = parse(["gallery"])
    for name in vars(options):
        assert f"--{name}" in everything
    for name in StudyFile.__dataclass_fields__:
        assert re.search(rf"\b{name}\b", everything), name
    code = "import runpy, sys; sys.modules['torch'] = None; m = runpy.run_path(sys.argv[1]); print(m['help_of'](['-h']))"
    path = Path(sys.modules["nst_lightning.study.options"].__file__)
    code = code.replace(
        "m = ",
        "import types; sys.modules['nst_lightning'] = types.ModuleType('nst_lightning'); "
        "sys.modules['nst_lightning'].__path__ = [str(__import__('pathlib').Path(sys.argv[1]).parents[1])]; m = ",
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == text


# ---- what is written -------------------------------------------------------------------------------------------------


@pytest.fixture
def done(workdir, grid) -> Path:
    assert run("--config", grid) == 0
    return workdir / "logs" / "studies" / "grid"


def test_figure_table_and_page(done):
    """Fails if a study leaves no figure, a table without a setting or a measurement, or a page that needs other files."""
    figure = Image.open(done / "figure.png")
    assert figure.width > 2 * 32 and figure.height > 2 * 24
    table = rows_of(done)
    assert [(row["model.init"], row["model.style_weight"]) for row in table] == [
        ("noise", "1"),
        ("noise", "1000.0"),
        ("content", "1"),
        ("content", "1000.0"),
    ]
    for row in table:
        numbers = ("total", "content", "style", "psnr", "ssim", "style_distance", "content_distance", "seconds")
        assert all(np.isfinite(float(row[name])) for name in (*numbers, "peak_memory_mib")), row
        assert row["steps"] == "3.0" and not row["error"]
        assert row["data.size"] == "32" and row["model.features.arch"] == "vgg16", "a setting is missing"
        weight = float(row["model.style_weight"])
        total = float(row["content"]) + weight * float(row["style"])
        assert float(row["total"]) == pytest.approx(total, rel=1e-4), "the losses are not of this cell"
        assert row["version"] == importlib.metadata.version("nst_lightning") and row["seed_everything"] == "0"
        assert abs(datetime.fromisoformat(row["date"]).timestamp() - time.time()) < 3600
    page = (done / "index.html").read_text()
    assert "Weights" in page and "Look." in page and 'src="http' not in page


def test_seconds_to_the_worst_final_loss(done):
    """Fails if the fair comparison of speed is not: the first moment at which a cell is as good as the worst one's end."""
    curves = {
        row["cell"]: json.loads((done / "cells" / row["cell"] / "cell.json").read_text())["curve"] for row in rows_of(done)
    }
    worst = max(curve[-1][2] for curve in curves.values())
    for row in rows_of(done):
        first = next(point for point in curves[row["cell"]] if point[2] <= worst)
        assert float(row["seconds_to_worst"]) == pytest.approx(first[1])


def test_a_cell_is_a_plain_run(done, workdir):
    """Fails if a cell's config does not give the cell's picture: nobody could go on from a study."""
    cell = done / "cells" / "content-1000"
    assert main(["fit", "--config", str(cell / "config.yaml"), "--output", "again.png"]) == 0
    assert np.array_equal(np.asarray(Image.open("again.png")), np.asarray(Image.open(cell / "result.png")))


def test_every_cell_is_a_tensorboard_run(done):
    """Fails if TensorBoard does not show a cell, or cannot tell the cells apart by their settings."""
    for init in ("noise", "content"):
        events = EventAccumulator(str(done / "cells" / f"{init}-1"))
        events.Reload()
        assert "loss/total" in events.Tags()["scalars"]
        plugin = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
        assert f'"{init}"'.encode() in plugin.content or init.encode() in plugin.content


def test_a_study_of_one_cell_is_a_plain_run(workdir, base):
    """Fails if a study without rows and columns does not run."""
    assert run("--config", write(workdir / "one.yaml", title="One", base=base), "--trainer.max_steps", 2) == 0
    (row,) = rows_of(workdir / "logs" / "studies" / "one")
    assert row["cell"] == "one" and row["steps"] == "2.0"


def test_cells_of_equal_time(workdir, base):
    """Fails if the steps chosen to fill a time are not those of the run, or cannot be run again."""
    columns = {"setting": "model.style_loss", "values": ["gram", "wasserstein"]}
    study = write(workdir / "times.yaml", title="T", base=base, columns=columns, seconds=0.5)
    assert run("--config", study) == 0
    for row in rows_of(workdir / "logs" / "studies" / "times"):
        config = yaml.safe_load((workdir / "logs/studies/times/cells" / row["cell"] / "config.yaml").read_text())
        assert config["trainer"]["max_steps"] == float(row["steps"]) >= 1


def test_difference_of_two_noises(workdir, base):
    """Fails if the row of differences is missing, or shows other pictures than the first and the last."""
    seeds = {"setting": "seed_everything", "values": [0, 1]}
    words = {"title": "T", "base": base, "rows": seeds, "show": ["start", "result"]}
    heights = {}
    for name, change in (("plain", {}), ("differences", {"difference": "rows"})):
        assert run("--config", write(workdir / f"{name}.yaml", **words, **change), "--model.init", "noise") == 0
        heights[name] = Image.open(workdir / "logs" / "studies" / name / "figure.png").height
    assert heights["differences"] > heights["plain"]
    starts = [np.asarray(Image.open(p)) for p in sorted((workdir / "logs/studies/plain/cells").glob("*/start.png"))]
    assert len(starts) == 2 and not np.array_equal(*starts)


# ---- stopped and started again ---------------------------------------------------------------------------------------


def test_only_what_is_missing_or_changed_is_run(done, grid, capsys):
    """Fails if a finished cell is computed again, or a changed setting is not."""
    records = {path: path.stat().st_mtime_ns for path in done.rglob("cell.json")}
    before = (done / "table.csv").read_bytes()
    assert run("--config", grid) == 0
    assert {path: path.stat().st_mtime_ns for path in records} == records
    assert (done / "table.csv").read_bytes() == before
    (done / "cells" / "noise-1" / "cell.json").unlink()
    (done / "cells" / "noise-1000" / "result.png").unlink()
    study = yaml.safe_load(grid.read_text())
    study["rows"]["values"] = ["noise", "gray"]
    study["rows"]["labels"] = ["noise", "content"]
    write(grid, **study)
    capsys.readouterr()
    assert run("--config", grid) == 0
    said = capsys.readouterr().out
    assert "1/4" in said and said.count(" left") == 4, said
    (done / "cells" / "noise-1" / "cell.json").unlink()
    capsys.readouterr()
    assert run("--config", grid) == 0
    assert capsys.readouterr().out.count(" left") == 1


@pytest.mark.slow
def test_killed_and_started_again(workdir, base):
    """Fails if a study that was killed loses finished cells, keeps half ones, or ends in another picture."""
    columns = {"setting": "seed_everything", "values": list(range(6))}
    study = write(workdir / "seeds.yaml", title="Seeds", base=base, columns=columns)
    words = ["study", "--config", str(study), "--model.init", "noise", "--trainer.max_steps", "20"]
    # the number of threads decides in which order sums are added
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-m", "nst_lightning", *words], env=environment)
    cells = workdir / "logs" / "studies" / "seeds" / "cells"
    while not list(cells.glob("*/cell.json")):
        assert process.poll() is None and not time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    there = {path: path.stat().st_mtime_ns for path in cells.glob("*/cell.json")}
    assert 1 <= len(there) < 6
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert main([*words, "--output", "undisturbed"]) == 0
    for seed in range(6):
        once = np.asarray(Image.open(cells / str(seed) / "result.png"))
        assert np.array_equal(once, np.asarray(Image.open(f"undisturbed/seeds/cells/{seed}/result.png")))


def test_a_transparent_result_is_on_white(planned_on_cutout):
    """If this fails, what is transparent in a cell shows what lies hidden there."""
    sheet = planned_on_cutout.sheet(["result"])
    assert sheet.cells[0][0][0].picture.getpixel((0, 0)) == (255, 255, 255)


@pytest.fixture
def planned_on_cutout(workdir, pictures) -> Results:
    file = io.BytesIO()
    Image.new("RGBA", (48, 32), (200, 0, 0, 0)).save(file, "PNG")
    plan = planned(workdir / "s.yaml", settings={"data.content": str(pictures[0]), "data.style": str(pictures[1])})
    return Results(plan, [Outcome(files={"result.png": file.getvalue(), "start.png": file.getvalue()})])


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_cell_that_fails_leaves_the_others(workdir, base, pictures, capsys):
    """Fails if one bad picture costs a whole grid, or goes unnoticed."""
    (workdir / "words.jpg").write_text("words")
    columns = {"setting": "data.content", "values": ["words.jpg", str(pictures[0])]}
    assert run("--config", write(workdir / "s.yaml", title="S", base=base, columns=columns)) == 1
    table = rows_of(workdir / "logs" / "studies" / "s")
    assert "not a picture" in table[0]["error"] and not table[1]["error"]
    assert "1 failed" in capsys.readouterr().out
    assert (workdir / "logs" / "studies" / "s" / "figure.png").is_file()


@pytest.mark.parametrize(
    "change, words, said",
    [
        ({"columns": {"setting": "model.style_wait", "values": [1]}}, [], "--model.style_wait: no such flag"),
        ({"columns": {"setting": "data.content", "values": ["no/*.jpg"]}}, [], "no/*.jpg: no file matches"),
        ({"columns": {"setting": "data.content", "values": []}}, [], "columns: values []: an empty grid"),
        ({"columns": {"setting": "data.size", "values": [32, 32]}}, [], "columns: two are called 32"),
        ({"columns": {"setting": "data.size", "values": [32, 33], "labels": ["x", "x"]}}, [], "two are called x"),
        ({"rows": {"setting": "data.size", "values": [1]}}, ["--rows", "x: ["], "--rows x: [: not understood"),
        ({"colums": {}}, [], "colums: no such key; did you mean 'columns'?"),
        ({"columns": {"setting": "data.size"}}, [], "columns: give a setting and its values"),
        ({"show": ["everything"]}, [], "show"),
        ({"seconds": -1}, [], "seconds -1.0: give a number above 0"),
        ({"base": "nothing.yaml"}, [], "nothing.yaml"),
        ({}, ["--data.content", "missing.jpg"], "missing.jpg: no such file"),
        ({}, ["--data.sise", "3"], "--data.sise: no such flag or config key; did you mean '--data.size'?"),
        ({}, ["--engine", "rai"], "--engine"),
        ({}, ["--output", "x" * 300], f"--output {'x' * 300}: cannot be written (File name too long)"),
        ({}, ["--report", "x" * 300], f"--report {'x' * 300}: cannot be written (File name too long)"),
        ({}, ["--data.content", "x" * 300], f"--data.content {'x' * 300}: "),
        ({"columns": {"setting": "data.content", "values": ["x" * 300]}}, [], f"--data.content {'x' * 300}: "),
        ({"base": "x" * 300}, [], f"its config {'x' * 300}: cannot be read (File name too long)"),
        ({"columns": {"setting": "data.size", "values": [1]}}, ["--columns", "x" * 300 + "*"], "no file matches"),
        ({}, ["--engine.workers", "2"], "--engine.workers 2: is not for --engine sequential"),
        ({}, ["--engine", "processes", "--engine.workers", "0"], "--engine.workers 0"),
    ],
)
def test_bad_input(workdir, base, capsys, change, words, said):
    """Fails if a study file that cannot work is begun, or the complaint does not name the place."""
    study = write(workdir / "s.yaml", **({"title": "S", "base": base} | change))
    assert run("--config", study, *words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") <= 2 and "Traceback" not in error
    assert not (workdir / "logs" / "studies" / "s").exists()


@pytest.mark.parametrize("content, said", [("a: [", "not YAML"), ("- 1", "holds no settings"), (None, "cannot be read")])
def test_a_file_that_is_no_study(workdir, capsys, content, said):
    """Fails if a broken study file ends in a traceback."""
    if content is not None:
        (workdir / "s.yaml").write_text(content)
    assert run("--config", "s.yaml") == 2
    error = capsys.readouterr().err
    assert "--config s.yaml" in error and said in error and error.count("\n") == 1


@pytest.mark.parametrize("name", ["configs/studies/none.yaml", "config" * 50, "my config.yaml"])
def test_a_study_file_that_is_not_there(workdir, capsys, name):
    """If this fails, the complaint changes the path that it is about, or says it twice."""
    assert run(name) == 2
    why = "File name too long" if len(name) > 255 else "No such file or directory"
    assert capsys.readouterr().err == f"error: --config {name}: cannot be read ({why})\n"
    assert run("galery") == 2
    assert "did you mean 'gallery'?" in capsys.readouterr().err


def test_a_command_that_does_not_exist(capsys):
    """Fails if a misspelt command ends in the help of another."""
    assert main(["studdy"]) == 2
    said = capsys.readouterr().err
    assert (
        said.startswith("error: studdy: no such command")
        and "did you mean 'study'?" in said
        and len(said.splitlines()) == 1
    )


def test_settings_that_are_parsed_by_themselves_make_the_configs_of_their_command_lines(workdir, base):
    """If this fails, a large study runs other configs than the command lines of its cells say."""
    columns = [
        {"setting": "model.style_weight", "values": [1, 2.5, "x2"]},
        {"setting": "model.optimizer", "values": ["adam", "lbfgs"]},
        {"setting": "model.style_layers", "values": [["relu1_1"], ["relu2_1", "relu3_1"]]},
        {"setting": ["model.optimizer", "model.learning_rate"], "values": [["adam", 0.1], ["pyramid_adam", 0.01]]},
        {"setting": "recipe", "values": ["gatys", "wasserstein"]},
    ]
    parser = NSTCommandLine(["fit"], until="parsed")
    for axis in columns:
        rows = {"setting": "seed_everything", "values": [0, 1]}
        Path("many.yaml").write_text(yaml.safe_dump({"title": "Many", "base": base, "rows": rows, "columns": axis}))
        plan = Plan("many.yaml", ["--data.size", "48"], workdir, {})
        for cell, config in zip(plan.cells, plan.configs, strict=True):
            words = plan._words(cell.settings, ["--data.size", "48"], lambda *words: parser.resolve(list(words)))
            assert _essence(parser.resolve(words)) == config, cell.settings
