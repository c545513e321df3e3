"""What is installed: the wheel alone, in an empty folder, without the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import nst_lightning
from nst_lightning._build import PUBLIC

ROOT = Path(__file__).parents[1]
# -I: nothing of the current folder or of this checkout is imported
PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from nst_lightning.__main__ import main; sys.exit(main())"


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves files behind
    for name in ("nst_lightning", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(folder)]
    subprocess.run([*build, str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def nst(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", PROGRAM, str(site), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_wheel_has_every_file(site):
    """If this fails, the installed package lacks a room, its weights, its pictures or its configs."""
    there = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    files = [path for name in ("nst_lightning", "configs") for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {path.relative_to(ROOT).as_posix() for path in files if not {"__pycache__"} & set(path.parts)}
    wanted = {f"nst_lightning/{name}" if name.startswith("configs/") else name for name in wanted}
    assert {name for name in wanted if not name.endswith(".md")} - there == set()
    assert {name.split("/")[0] for name in there if ".dist-info" not in name} == {"nst_lightning"}
    scripts = next(site.glob("*.dist-info/entry_points.txt")).read_text()
    assert "nst = nst_lightning.__main__:main" in scripts


@pytest.mark.parametrize(
    "words",
    [
        ["demo"],
        ["{photo}", "{painting}", "-o", "out.png", "--recipe", "assignment", "--recipe", "gatys", "--scales", "none"],
        ["fit", "--config", "texture", "--style", "{painting}", "--scales", "none", "-o", "out.png"],
    ],
    ids=["demo", "recipes", "task"],
)
def test_the_wheel_alone_paints(site, workdir, words):
    """If this fails, who installs the package needs files of the repository."""
    samples = {name: str(site / "nst_lightning" / "pictures" / "samples" / f"{name}.jpg") for name in ("photo", "painting")}
    done = nst(site, *(word.format(**samples) for word in words), "--size", "32", "--steps", "1")
    assert done.returncode == 0, done.stderr
    (picture,) = workdir.glob("*.png")
    assert max(Image.open(picture).size) == 32
    assert str(ROOT) not in done.stdout + done.stderr


def test_a_task_without_its_picture_says_which_flag(site, workdir):
    """If this fails, `--config texture` in an empty folder does not say what is missing."""
    done = nst(site, "--config", "texture")
    assert done.returncode == 2 and "--data.style images/style/starry_night.jpg: no such file" in done.stderr


def test_a_package_index_shows_the_pictures(site):
    """If this fails, the page of a package index lacks the README's pictures, links or classifiers."""
    text = next(site.glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
    fields, _, page = text.partition("\n\n")
    for name in ("Classifier", "Keywords", "Project-URL", "License-Expression", "Description-Content-Type: text/markdown"):
        assert name in fields
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page)
    assert links and all(link.startswith(f"{PUBLIC}/raw/main/images/") for link in links)
    for link in links:
        assert (ROOT / link.removeprefix(f"{PUBLIC}/raw/main/")).is_file(), link
    assert PUBLIC in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert PUBLIC in citation and f"version: {nst_lightning.__version__}\n" in citation
    assert f"\nVersion: {nst_lightning.__version__}\n" in fields


def test_the_source_distribution_makes_the_same_package(site, tmp_path):
    """If this fails, who builds from the source archive gets a package without its configs, or none."""
    shutil.copytree(ROOT, tmp_path / "checkout", ignore=shutil.ignore_patterns(".*", "logs", "images", "tests", "build"))
    build = "import nst_lightning._build as b; b.build_sdist(r'..'); "
    subprocess.run([sys.executable, "-c", build], check=True, cwd=tmp_path / "checkout", capture_output=True)
    shutil.unpack_archive(next(tmp_path.glob("*.tar.gz")), tmp_path)
    (source,) = (path for path in tmp_path.glob("nst_lightning-*") if path.is_dir())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(tmp_path)]
    subprocess.run([*command, str(source)], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        names = {name for name in archive.namelist() if ".dist-info" not in name}
    files = [path for path in (site / "nst_lightning").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert names == {path.relative_to(site).as_posix() for path in files}
