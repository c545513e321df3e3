"""What was painted, on disk: a folder for each picture with all that makes it again."""

from __future__ import annotations

import json
import shlex
import shutil
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from nst_lightning.pictures.atomic import write_file
from nst_lightning.pictures.thumbnails import thumbnail
from nst_lightning.pictures.write import write_image
from nst_lightning.training.controls import Controls
from nst_lightning.ui.wishes import Wishes

RECORD = "painting.json"  # written last: a folder without it is not whole
OPENED = 512  # pixels of what the gallery shows


@dataclass(frozen=True)
class Entry:
    """One picture.

    Attributes:
        folder: with result.png, result.tif, the inputs, config.yaml and turns.json.
        wishes: what was wanted; its files lie in the folder.
        said: the time, the steps and how it ended, for people.
    """

    folder: Path
    wishes: Wishes
    said: str

    @property
    def picture(self) -> Path:
        """The result, PNG."""
        return self.folder / "result.png"

    def command(self) -> str:
        """The command line that makes it again."""
        more = {}
        if (self.folder / "turns.json").exists():
            more["--turns"] = str(self.folder / "turns.json")
        if self.wishes.mask and self.wishes.masked != "keep":
            more["--content_mask"] = str(self.folder / "content_mask.png")
            masks = [str(self.folder / f"style_mask_{n}.png") for n in range(1, len(self.wishes.paintings) + 1)]
            more["--data.style_mask"] = json.dumps(masks)
        return shlex.join(self.wishes.command(more))


class History:
    """The pictures of a folder, newest first; there after a restart.

    Args:
        folder: made when the first picture comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, wishes: Wishes) -> tuple[Path, Wishes]:
        """A folder for a picture that begins, with copies of its inputs; the wishes name these."""
        # in the order of beginning: several do so within a second
        folder = self.folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{uuid.uuid4().hex[:6]}"
        folder.mkdir(parents=True)

        def kept(name: str, source: str) -> str:
            target = folder / f"{name}{Path(source).suffix.lower()}"
            shutil.copyfile(source, target)
            return str(target)

        paintings = tuple(kept(f"painting_{number}", one) for number, one in enumerate(wishes.paintings, start=1))
        given: dict[str, Any] = {name: kept(name, value) for name in ("init", "mask") if (value := getattr(wishes, name))}
        return folder, replace(wishes, photo=kept("photo", wishes.photo), paintings=paintings, **given)

    def keep(
        self, folder: Path, wishes: Wishes, result: Tensor, alpha: Tensor | None, controls: Controls, said: str
    ) -> Entry:
        """Write a finished picture ``(1, 3, H, W)``: PNG and 16-bit TIFF, config and turns."""
        write_image(result, folder / "result.png", alpha)
        write_image(result, folder / "result.tif", alpha, 16)
        write_file(folder / "config.yaml", wishes.config().encode())
        if controls.turns:
            controls.write(folder / "turns.json")
        record = {"wishes": wishes.plain(), "said": said}
        write_file(folder / RECORD, json.dumps(record, indent=1).encode())
        return Entry(folder, wishes, said)

    def drop(self, folder: Path) -> None:
        """Remove what was begun and has no picture."""
        shutil.rmtree(folder, ignore_errors=True)

    def entries(self) -> list[Entry]:
        """All whole pictures, newest first."""
        found = []
        for record in sorted(self.folder.glob(f"*/{RECORD}"), reverse=True):
            try:
                content = json.loads(record.read_text(encoding="utf-8"))
                found.append(Entry(record.parent, Wishes.of(content["wishes"]), str(content["said"])))
            except (OSError, ValueError, KeyError, TypeError):  # damaged: not shown
                continue
        return [entry for entry in found if entry.picture.exists()]

    def shown(self) -> list[tuple[Entry, Image.Image]]:
        """All whole pictures, newest first, small."""
        pairs = ((entry, thumbnail(str(entry.picture), OPENED)) for entry in self.entries())
        return [(entry, picture) for entry, picture in pairs if picture is not None]
