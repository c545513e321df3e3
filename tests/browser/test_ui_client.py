"""The page to paint on through its interface for programs, as the library's own client calls it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.test_ui_page import OTHER, PAINTING, PHOTO, ROOT, Server

DIALS = ["draft", "256", 0, 1, "the painting's", 0]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from gradio_client import Client

    server = Server(tmp_path_factory.mktemp("client") / "pictures")
    server.start()
    yield Client(server.address, verbose=False), server
    assert server.stop() == 0


def gallery(*paths: str) -> list[Any]:
    from gradio_client import handle_file

    return [{"image": handle_file(path), "caption": None} for path in paths]


def begin(client, photo: str = PHOTO, *paintings: str, dials: list[Any] = DIALS):
    from gradio_client import handle_file

    return client.submit(
        handle_file(photo), gallery(*(paintings or [PAINTING])), None, "leave as it is", *dials, api_name="/paint"
    )


def words(job) -> list[str]:
    """What the line under the picture has said so far."""
    return [str(output[1]) for output in job.outputs()]


def test_paint_watch_and_find_it_in_the_history(served):
    """If this fails, no program can paint through the page, or the picture does not form before one's eyes."""
    client, server = served
    job = begin(client)
    final = job.result(timeout=180)
    said = words(job)
    assert sum("Painting: step" in line for line in said) >= 3 and said[-1].startswith("Done"), said
    assert final[0] and Path(final[0][1] if isinstance(final[0], list | tuple) else final[0]).exists()
    (entry,) = [path for path in server.folder.iterdir() if (path / "painting.json").exists()]
    assert Image.open(entry / "result.png").size == (256, 192)
    assert len(client.predict(api_name="/history")) == 1


def test_stop_within_seconds_and_continue(served):
    """If this fails, a stop waits for the end, or what was stopped cannot be gone on with."""
    client, _ = served
    job = begin(client, PHOTO, OTHER)
    while not any("Painting: step" in line for line in words(job)):
        time.sleep(0.1)
    start = time.monotonic()
    client.predict(api_name="/stop")
    job.result(timeout=30)
    assert "stopped at step" in words(job)[-1] and time.monotonic() - start < 15
    again = client.submit(api_name="/continue")
    again.result(timeout=180)
    assert words(again)[-1].startswith("Done")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, "best", "draft"),
        (1, "99999999", "99999999"),
        (2, 1e9, "maximum value 3"),
        (4, "nst_lightning.main.main", "not in the list"),
        (5, -4, "minimum value 0"),
    ],
)
def test_what_no_dial_gives_is_refused(served, place, value, said):
    """If this fails, a request reaches a class, a path or a size that the page does not offer."""
    client, server = served
    before = len(list(server.folder.iterdir()))
    with pytest.raises(Exception, match=said):
        begin(client, dials=[*DIALS[:place], value, *DIALS[place + 1 :]]).result(timeout=30)
    assert len(list(server.folder.iterdir())) == before


def test_a_file_that_was_not_uploaded_is_not_read(served):
    """If this fails, the page gives away any picture of the machine by its path."""
    import httpx

    _, server = served
    before = len(list(server.folder.iterdir()))
    secret = server.folder.parent / "secret.png"
    Image.new("RGB", (64, 64), "red").save(secret)
    # not by the library's client, which would upload it
    raw = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    data = [raw, [{"image": raw, "caption": None}], None, "leave as it is", *DIALS]
    begun = httpx.post(f"{server.address}/gradio_api/call/paint", json={"data": data}, timeout=20)
    if begun.status_code == 200:
        said = httpx.get(f"{server.address}/gradio_api/call/paint/{begun.json()['event_id']}", timeout=60).text
        assert "event: error" in said and "event: complete" not in said, said
    assert len(list(server.folder.iterdir())) == before
    response = httpx.get(f"{server.address}/gradio_api/file={secret}", timeout=20)
    assert response.status_code in (403, 404)


def test_a_port_that_is_taken(tmp_path):
    """If this fails, a second page ends with a traceback, or listens where others can reach it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "nst_lightning", "ui", "--port", str(port), "--folder", str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.terminate()
        process.wait(timeout=60)
    assert f"port {port} is taken" in lines[0] and "http://127.0.0.1:" in lines[1] and str(port) not in lines[1]


def test_for_others_there_is_a_password(tmp_path):
    """If this fails, anybody in the network can paint on this machine, and see what was painted."""
    import httpx

    command = [
        sys.executable,
        "-m",
        "nst_lightning",
        "ui",
        "--host",
        "0.0.0.0",
        "--port",
        "7960",
        "--folder",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("user nst, password ") and len(said.split()[-1]) >= 10
        line = process.stdout.readline()
        while "http" not in line:
            line = process.stdout.readline()
        address = f"http://127.0.0.1:{line.split(':')[2].split()[0]}"
        assert httpx.get(f"{address}/config", timeout=20).status_code == 401
        wrong = httpx.post(f"{address}/login", data={"username": "nst", "password": "x"}, timeout=20)
        right = httpx.post(f"{address}/login", data={"username": "nst", "password": said.split()[-1]}, timeout=20)
        assert wrong.status_code >= 400 and right.status_code == 200
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_a_folder_of_photographs(tmp_path):
    """Results are called after their photographs, also two of one name; a sheet shows all; what failed is named."""
    import shutil

    from nst_lightning.ui.estimate import Estimate
    from nst_lightning.ui.handlers import Handlers
    from nst_lightning.ui.history import History
    from nst_lightning.ui.painting import Easel

    photos = []
    for name, source in (("a/cat.jpg", PHOTO), ("b/cat.jpg", OTHER), ("c/no.jpg", None)):
        (tmp_path / name).parent.mkdir()
        shutil.copy(source, tmp_path / name) if source else (tmp_path / name).write_text("no picture")
        photos.append(str(tmp_path / name))
    easel = Easel(History(tmp_path / "ui"), Estimate(tmp_path / "seconds.json"))
    try:
        *said, (last, files) = Handlers(easel).folder(photos, [(PAINTING, None)], "draft", 64, 0, 1, "the painting's", 0)
    finally:
        easel.close()
    assert [line for line, _ in said] == ["1 of 3: cat", "2 of 3: cat", "3 of 3: no"]
    assert last.startswith("2 of 3 painted, not no.jpg (")
    assert [Path(file).name for file in files] == ["sheet.png", "cat.png", "cat-2.png"]
    assert Image.open(files[1]).size == (64, 48) and Image.open(files[0]).size > (128, 96)
