"""The command: films from clips, the same after an interruption, by engines and passes; and wrong input."""

import csv
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
import torch

from nst_lightning.main import main
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.write import write_image
from nst_lightning.video.clips import frames_of
from nst_lightning.video.reel import Reel
from tests.video.clips import OTHER, pan, photograph, write

IMAGES = Path(__file__).parents[2] / "images"
PAINTING = str(IMAGES / "style" / "starry_night.jpg")
FAST = ["--preset=draft", "--data.size=48", "--trainer.max_steps=3", "--video.steps=2"]


def pictures(output: Path, turn: int = 1) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(f"{output}.frames").glob(f"pass{turn}/*.png"))}


def test_film_is_the_same_after_an_interruption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a frame depends on more than what lies on the disk, or times are lost."""
    write(tmp_path / "pan.mp4", pan(3, (48, 64)))
    output = tmp_path / "painted.mp4"
    words = ["video", str(tmp_path / "pan.mp4"), PAINTING, f"--output={output}", *FAST]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "frame 3 of 3" in said and "warping error" in said and "style distance" in said
    with av.open(str(output)) as film:
        assert film.streams.video[0].codec_context.colorspace == 1  # tagged BT.709
        assert [frame.time for frame in film.decode(video=0)] == pytest.approx([0, 1 / 12, 2 / 12], abs=1e-3)
    folder = Path(f"{output}.frames")
    whole = pictures(output)
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(whole) == len(rows) == 3 and float(rows[2]["warping_error"]) > float(rows[2]["floor"]) >= 0
    assert list(folder.glob("events.out.tfevents.*"))
    (folder / "pass1" / "000002.json").unlink()  # as if it had been killed in the last frame
    (folder / "pass1" / "000002.png").write_bytes(b"")
    assert main(words) == 0
    assert pictures(output) == whole


@pytest.mark.slow
def test_what_is_painted_is_kept_for_another_part(tmp_path: Path) -> None:
    """A shorter and then a longer part keep what is there; other settings do not."""
    write(tmp_path / "pan.mp4", pan(3, (48, 64)))
    output = tmp_path / "painted.mp4"
    words = ["video", str(tmp_path / "pan.mp4"), PAINTING, f"--output={output}", *FAST]
    assert main(words) == 0
    whole, folder = pictures(output), Path(f"{output}.frames")
    kept = (folder / "pass1" / "000000.png").stat().st_mtime_ns
    assert main([*words, "--end=0.1"]) == 0 and len(list(frames_of(str(output)))) == 2
    assert main(words) == 0 and (folder / "pass1" / "000000.png").stat().st_mtime_ns == kept
    assert main([*words, "--seed=1", "--init=noise"]) == 0
    assert pictures(output)["000000.png"] != whole["000000.png"]


@pytest.mark.slow
def test_scenes_on_processes_are_those_painted_here(tmp_path: Path) -> None:
    """Fails if a scene depends on the one before it, or a cut is not found."""
    other = [photograph(OTHER, (48, 64))] * 2
    write(tmp_path / "cut.mp4", [*pan(2, (48, 64)), *other])
    for name, more in (("here.mp4", []), ("there.mp4", ["--engine=processes", "--engine.workers=2"])):
        assert main(["video", str(tmp_path / "cut.mp4"), PAINTING, f"--output={tmp_path / name}", *FAST, *more]) == 0
    assert Reel(tmp_path / "here.mp4.frames").scenes() == [range(0, 2), range(2, 4)]
    here, there = pictures(tmp_path / "here.mp4"), pictures(tmp_path / "there.mp4")
    assert here.keys() == there.keys()
    for name in here:  # other numbers of threads round differently
        ours, theirs = (read_image(str(tmp_path / f"{which}.mp4.frames/pass1/{name}")).rgb for which in ("here", "there"))
        assert float((ours - theirs).abs().mean()) < 0.02


def test_several_clips_and_passes(tmp_path: Path) -> None:
    """Two clips of one name go to one folder; a second pass goes backward over the first."""
    for name in ("a", "b"):
        write(tmp_path / name / "clip.mp4", pan(2, (32, 48), step=2 if name == "a" else 3))
    clips = [str(tmp_path / name / "clip.mp4") for name in ("a", "b")]
    output = tmp_path / "films"
    assert main(["video", *clips, PAINTING, f"--output={output}", *FAST, "--video.passes=2"]) == 0
    assert sorted(path.name for path in output.glob("*.mp4")) == ["clip-2.mp4", "clip.mp4"]
    first, second = pictures(output / "clip.mp4"), pictures(output / "clip.mp4", 2)
    assert first.keys() == second.keys() and all(first[name] != second[name] for name in first)
    film = torch.cat([frame.image for frame in frames_of(str(output / "clip.mp4"))])
    shown = torch.cat([read_image(str(output / "clip.mp4.frames/pass2" / name)).rgb[None] for name in second])
    assert float((film - shown).abs().mean()) < 0.03  # the film is that of the last pass


def test_mask_as_a_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if the regions of each frame are not its own, or a region that leaves the picture ends the run."""
    write(tmp_path / "pan.mp4", pan(3, (48, 64)))
    mask = torch.zeros(3, 1, 3, 48, 64)
    mask[0, ..., :40] = mask[1, ..., :12] = 1  # white leaves the picture
    write(tmp_path / "mask.mp4", list(mask))
    write_image(torch.cat([torch.ones(1, 3, 40, 32), torch.zeros(1, 3, 40, 32)], 3), tmp_path / "style.png")
    words = ["video", str(tmp_path / "pan.mp4"), PAINTING, f"--output={tmp_path / 'out.mp4'}", *FAST]
    words += [f"--data.content_mask={tmp_path / 'mask.mp4'}", f"--data.style_mask={tmp_path / 'style.png'}"]
    assert main(words) == 0
    assert len(pictures(tmp_path / "out.mp4")) == 3
    write(tmp_path / "mask.mp4", list(mask[:2]))
    assert main(words) == 2
    assert "ends after 2 frames" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_a_film_that_plays(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    """What is painted until then is a film; the same command goes on."""
    write(tmp_path / "pan.mp4", pan(40, (48, 64), step=1))
    output = tmp_path / "out.mp4"
    words = ["video", str(tmp_path / "pan.mp4"), PAINTING, f"--output={output}", *FAST]
    process = subprocess.Popen([sys.executable, "-m", "nst_lightning", *words], stdout=subprocess.PIPE, text=True)
    while process.poll() is None and len(list(tmp_path.glob("out.mp4.frames/pass1/*.json"))) < 3:
        time.sleep(0.1)
    process.send_signal(sent)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == code, said
    assert "stopped; the same command goes on" in said and "Traceback" not in said
    assert 3 <= len(list(frames_of(str(output)))) < 40


def test_without_flow(tmp_path: Path) -> None:
    write(tmp_path / "pan.mp4", pan(2, (32, 48)))
    words = ["video", str(tmp_path / "pan.mp4"), PAINTING, f"--output={tmp_path / 'out.webm'}", *FAST]
    assert main([*words, "--video.flow=none"]) == 0
    with av.open(str(tmp_path / "out.webm")) as film:
        assert film.streams.video[0].codec_context.name in ("vp9", "libvpx-vp9")


def test_damaged_in_the_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames before the place are kept, and the place is said."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(pan(3, (32, 48))):
        write_image(frame, folder / f"{number}.png")
    content = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(content[: len(content) // 2])
    assert main(["video", str(folder), PAINTING, f"--output={tmp_path / 'out.gif'}", *FAST]) == 1
    said = capsys.readouterr().out
    assert "2.png" in said and "2 frames" in said
    assert len(list(frames_of(str(tmp_path / "out.gif")))) == 2


def test_no_room_on_the_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "pan.mp4", pan(2, (32, 48)))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=9 if "frames" in str(path) else usage.free))
    assert main(["video", str(tmp_path / "pan.mp4"), PAINTING, f"--output={tmp_path / 'out.mp4'}", *FAST]) == 2
    assert "--output: 2 frames need about" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
def test_disk_full_in_the_middle(tmp_path: Path) -> None:
    """A file that cannot be written ends in one line; what is there is kept."""
    write(tmp_path / "pan.mp4", pan(2, (240, 320)))
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (250000, 250000));"
    code += "from nst_lightning.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["video", str(tmp_path / "pan.mp4"), PAINTING, f"--output={tmp_path / 'out.mp4'}", *FAST, "--data.size=320"]
    found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    said = found.stderr + found.stdout
    assert found.returncode == 1 and "Traceback" not in said, said
    assert "too large" in said and len(said.strip().splitlines()) <= 3, said
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.mp4", PAINTING], "no such clip"),
        ([PAINTING, "pan.mp4"], "the clip comes first"),
        (["text.mp4", PAINTING], "no clip that can be read"),
        (["pan.mp4", PAINTING, "--output=a.xyz"], "give .mp4"),
        (["pan.mp4", "pan.mp4", PAINTING, "--output=a.mp4"], "2 clips need a folder"),
        (["pan.mp4", PAINTING, "--start=9"], "has no frame"),
        (["pan.mp4", PAINTING, "--every=0"], "give 1 or more"),
        (["pan.mp4", PAINTING, "--video.passes=0"], "give 1 or more"),
        (["pan.mp4", PAINTING, "--engine.workers=2"], "not for --engine sequential"),
        (["pan.mp4", PAINTING, "--data.sise=64"], "--data.sise"),
        (["pan.mp4", PAINTING, "--data.content_mask=none.mp4"], "none.mp4"),
        (["sound.mp4", PAINTING], "only sound"),
        (["pan.mp4"], "give a clip and a painting"),
    ],
)
def test_wrong_input(tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str],
                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pan.mp4", pan(2, (48, 64)))
    (tmp_path / "text.mp4").write_text("no film")
    with av.open("sound.mp4", "w") as film:
        stream = film.add_stream("aac", rate=44100)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.rate, frame.pts = 44100, 0
        film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    before = sorted(tmp_path.rglob("*"))
    assert main(["video", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") <= 2
    assert sorted(tmp_path.rglob("*")) == before, "something was written"
