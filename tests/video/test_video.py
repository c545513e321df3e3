"""The command: a film from a clip, the same after an interruption; and wrong input."""

from pathlib import Path

import av
import pytest

from nst_lightning.main import main
from nst_lightning.video.clips import frames_of
from tests.video.clips import pan, write

PAINTING = str(Path(__file__).parents[2] / "images" / "style" / "starry_night.jpg")
FAST = ["--preset=draft", "--data.size=64", "--trainer.max_steps=3", "--video.steps=2"]


def test_film_is_the_same_after_an_interruption(tmp_path: Path) -> None:
    write(tmp_path / "pan.mp4", pan(3, (48, 65 - 1)))
    output = tmp_path / "painted.mp4"
    words = ["video", str(tmp_path / "pan.mp4"), PAINTING, f"--output={output}", *FAST]
    assert main(words) == 0
    with av.open(str(output)) as film:
        times = [frame.time for frame in film.decode(video=0)]
    assert times == pytest.approx([0, 1 / 12, 2 / 12], abs=1e-3)
    folder = Path(f"{output}.frames")
    pictures = {path.name: path.read_bytes() for path in folder.glob("0*.png")}
    assert len(pictures) == 3 and (folder / "metrics.csv").read_text().count("\n") == 4
    (folder / "000002.json").unlink()  # as if it had been killed in the last frame
    assert main(words) == 0
    assert pictures == {path.name: path.read_bytes() for path in folder.glob("0*.png")}


@pytest.mark.parametrize("ending", [".gif", ".webp", ""])
def test_other_films(tmp_path: Path, ending: str) -> None:
    from nst_lightning.pictures.write import write_image
    from nst_lightning.video.writing import write_film

    names = []
    for number, frame in enumerate(pan(3, (41, 63))):
        names.append(tmp_path / f"{number}.png")
        write_image(frame, names[-1])
    target = tmp_path / f"film{ending}"
    write_film(str(target), names, [0.0, 0.1, 0.3])
    frames = list(frames_of(str(target)))
    assert [tuple(frame.image.shape) for frame in frames] == [(1, 3, 41, 63)] * 3
    if ending:
        assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.3])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.mp4", PAINTING], "no such clip"),
        ([PAINTING, "pan.mp4"], "the clip comes first"),
        (["text.mp4", PAINTING], "no clip that can be read"),
        (["pan.mp4", PAINTING, "--output=a.xyz"], "give .mp4"),
        (["pan.mp4", PAINTING, "--start=9"], "has no frame"),
        (["pan.mp4", PAINTING, "--every=0"], "give 1 or more"),
        (["pan.mp4"], "give a clip and a painting"),
    ],
)
def test_wrong_input(tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str],
                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pan.mp4", pan(2, (48, 64)))
    (tmp_path / "text.mp4").write_text("no film")
    assert main(["video", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") <= 2
