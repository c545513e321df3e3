"""What is found in folders: results, their names, and what they were made from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from nst_lightning.compare.inputs import Inputs, Sources
from nst_lightning.compare.results import in_common, methods_of, results_in
from nst_lightning.errors import UsageError
from nst_lightning.main import main
from tests.compare.conftest import INPUTS, NAMES, TINTS, tinted


def refused(*words: str, capsys) -> str:
    assert main(["compare", *words]) == 2
    said = capsys.readouterr().err
    assert 1 <= len(said.splitlines()) <= 2 and "Traceback" not in said
    return said


def run(folder: Path, content: object, style: object) -> None:
    """A run, or a cell, as ``fit`` leaves it."""
    folder.mkdir(parents=True)
    tinted("kitten", len(folder.name) % 3).save(folder / "result.png")
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"content": content, "style": style}}))


def made_from(*folders: str, content: str | None = None, style: str | None = None) -> dict[str, Inputs]:
    methods, sources = methods_of(folders), Sources(content, style)
    return {name: sources.of([results[name] for results in methods.values()]) for name in in_common(methods)}


def test_names_say_what_was_used(folders):
    """If this fails, a result is shown beside another photograph or painting than it was made from."""
    found = made_from("gram", "strotss", content="content", style="style")
    assert found["kitten_great_wave"] == Inputs("content/kitten.jpg", ["style/great_wave.jpg"])
    assert found["chenonceau_starry_night"] == Inputs("content/chenonceau.jpg", ["style/starry_night.jpg"])
    for folder in ("gram", "strotss"):  # as the cells of a study are called, and with words around
        (folders / folder / "kitten_great_wave.png").rename(folders / folder / "Great Wave-kitten.png")
        (folders / folder / "chenonceau_starry_night.png").rename(folders / folder / "v2_chenonceau_starry_night.png")
    found = made_from("gram", "strotss", content="content", style="style")
    assert found["Great Wave-kitten"] == Inputs("content/kitten.jpg", ["style/great_wave.jpg"])
    assert found["v2_chenonceau_starry_night"] == Inputs("content/chenonceau.jpg", ["style/starry_night.jpg"])


def test_the_whole_name_counts(folders):
    """If this fails, `cat_night_cafe` is taken for the picture of a cat_night, or after a night."""
    for name in ("content/cat.jpg", "content/cat_night.jpg", "style/cafe.jpg", "style/night_cafe.jpg", "style/wave.jpg"):
        shutil.copy("content/kitten.jpg", name)
    for folder in ("a", "b"):
        Path(folder).mkdir()
        shutil.copy("gram/kitten_great_wave.png", f"{folder}/cat_wave.png")
    assert made_from("a", "b", content="content", style="style") == {
        "cat_wave": Inputs("content/cat.jpg", ["style/wave.jpg"])
    }
    for folder in ("a", "b"):
        Path(f"{folder}/cat_wave.png").rename(f"{folder}/cat_night_cafe.png")
    with pytest.raises(UsageError) as error:
        made_from("a", "b", content="content", style="style")
    assert "cat_night_cafe: may be made from" in error.value.message
    assert made_from("a", "b", content="content", style="style/night_cafe.jpg")["cat_night_cafe"].style == [
        "style/night_cafe.jpg"
    ]


def test_runs_know_what_they_used(folders):
    """If this fails, runs of fit are not matched by their pictures, or need flags for what their configs say."""
    for root, number in (("logs/a", 0), ("logs/b", 7)):
        run(Path(f"{root}/version_{number}_kitten_great_wave"), "content/kitten.jpg", "style/great_wave.jpg")
        both = ["style/great_wave.jpg", "style/starry_night.jpg"]
        run(Path(f"{root}/version_{number + 1}_two"), "content/chenonceau.jpg", both)
    found = made_from("logs/a", "logs/b")
    assert found["kitten_great_wave"] == Inputs("content/kitten.jpg", ["style/great_wave.jpg"])
    assert found["two"] == Inputs("content/chenonceau.jpg", both)
    one = made_from("logs/a/version_0_kitten_great_wave", "logs/b/version_7_kitten_great_wave")
    assert list(one) == ["kitten_great_wave"]
    run(Path("logs/a/version_5_two"), "content/kitten.jpg", "style/great_wave.jpg")
    with pytest.raises(UsageError) as error:
        results_in("logs/a")
    assert "has two results called two" in error.value.message


def test_a_png_knows_what_it_was_made_from(folders, pictures, capsys):
    """If this fails, the settings that fit leaves in a PNG are not understood."""
    for folder, size in (("x", "32"), ("y", "36")):
        Path(folder).mkdir()
        words = [*map(str, pictures), "--size", size, "--steps", "1", "-o", f"{folder}/first try.png"]
        assert main([*words, "--trainer.logger", "false"]) == 0
    said = {kind: [path.name] for kind, path in zip(("content", "style"), pictures, strict=True)}
    assert results_in("x")["first try"].said == said
    found = made_from("x", "y", content=str(pictures[0].parent), style=str(pictures[0].parent))
    assert found == {"first try": Inputs(str(pictures[0]), [str(pictures[1])])}
    assert "which is chenonceau.png by its settings" in refused("x", "y", "--output", "o", capsys=capsys)


@pytest.mark.parametrize("turned", [False, True])
def test_one_study_has_several_methods(folders, turned):
    """If this fails, the cells of one study are not compared, or as if their photographs were methods."""
    for method in TINTS:
        for content in ("kitten", "chenonceau"):
            name = f"{content}-{method}" if turned else f"{method}-{content}"
            run(Path("study/cells") / name, f"content/{content}.jpg", "style/great_wave.jpg")
    methods = methods_of(["study"])
    assert {method: set(results) for method, results in methods.items()} == {
        method: {"kitten", "chenonceau"} for method in TINTS
    }
    assert all(method in str(result.file) for method, results in methods.items() for result in results.values())
    assert made_from("study")["kitten"] == Inputs("content/kitten.jpg", ["style/great_wave.jpg"])
    assert main(["compare", "study"]) == 0
    assert json.loads(Path("logs/compare/key.json").read_text())["methods"] == sorted(TINTS)


def test_one_study_of_one_pair_of_pictures(folders, capsys):
    """If this fails, the cells of `nst study losses` are not compared with each other."""
    for method in TINTS:
        run(Path("study/cells") / method, "content/kitten.jpg", "style/great_wave.jpg")
    methods = methods_of(["study"])
    assert list(methods) == sorted(TINTS) and in_common(methods) == ["kitten_great_wave"]
    for style in ("great_wave", "starry_night"):
        for content in ("kitten", "chenonceau"):
            run(Path("gallery/cells") / f"{style}-{content}", f"content/{content}.jpg", f"style/{style}.jpg")
    assert "gallery: one folder is compared with itself only if" in refused("gallery", capsys=capsys)
    assert "give two or more folders" in refused("gram", *INPUTS, capsys=capsys)


def test_only_common_names_are_compared(folders, capsys):
    """If this fails, a picture that one method lacks ends the command, or is left out in silence."""
    Path("gram/kitten_great_wave.png").unlink()
    assert main(["compare", "gram", "strotss", *INPUTS]) == 0
    assert "2 methods · 2 pictures · 1 left out" in capsys.readouterr().out
    for name in NAMES[:2]:
        Path(f"gram/{name}.png").rename(f"gram/x{name}.png")
    said = refused("gram", "strotss", *INPUTS, capsys=capsys)
    assert "gram, strotss: no result has the same name in all of them; gram has xchen" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gramm", "strotss"], "gramm: no such folder; did you mean 'gram'?"),
        (["gram/kitten_great_wave.png", "strotss"], "is no folder; give a folder of results"),
        (["gram", "empty"], "empty: is a folder without pictures"),
        (["gram", "gram"], "gram: is given twice"),
        (["gram", "strotss"], "its photograph is not found; give --content FILE, or a FOLDER"),
        (["gram", "strotss", "--content", "content"], "its painting is not found; give --style FILE"),
        (["gram", "strotss", "--content", "style", "--style", "style"], "its photograph is not found"),
        (
            ["gram", "strotss", "--content", "contents"],
            "--content contents: no such file or folder; did you mean 'content'?",
        ),
        (["gram", "strotss", "--style", "empty"], "--style empty: is a folder without pictures"),
        (["gram", "strotss", "--repeats", "0"], "--repeats 0: give 1 or more"),
        (["gram", "strotss", "--seed", "x"], "--seed: invalid int value"),
        (["gram", "strotss", "--key", "a"], "--key: is for --tally"),
        (["gram", "strotss", "--repeat", "2"], "--repeat: no such flag of compare; did you mean '--repeats'?"),
        ([], "give two or more folders of results"),
    ],
)
def test_what_is_refused(folders, words, said, capsys):
    """If this fails, a mistake is answered by a traceback, or by words that do not help."""
    (folders / "empty").mkdir()
    assert said in refused(*words, capsys=capsys)
    assert not (folders / "logs").exists()


def test_settings_that_contradict_each_other(folders, capsys):
    """If this fails, results after different paintings are compared as if they were of one."""
    for folder, style in (("a", "great_wave"), ("b", "starry_night")):
        run(Path(folder) / "version_0_x", "content/kitten.jpg", f"style/{style}.jpg")
    assert "x: its results were made from different paintings" in refused("a", "b", capsys=capsys)
    assert main(["compare", "a", "b", "--style", "style/great_wave.jpg"]) == 0
