"""What is said of a run."""

from __future__ import annotations

import lightning as L

import nst_lightning
from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.training.description import describe, without_folders


def test_what_a_person_set_comes_first(pictures):
    """If this fails, the settings that a run was made for are lost among those that nobody touched."""
    module = StyleTransfer(tv_weight=2.0, features={"arch": "vgg16", "pooling": "average"})
    pair = ImagePair(str(pictures[0]), [str(pictures[1]), b"bytes of a picture"], size=64, color="match")
    described = describe(module, pair, L.Trainer(max_steps=3, logger=False, accelerator="cpu"))
    names = list(found := described.whole)
    table = sorted(described.for_table)  # as TensorBoard shows them
    assert set(table[: len(described.given)]) == set(described.given) and "usual/model/style_weight" in table
    first = ["data/content", "data/style", "data/size", "trainer/max_steps", "trainer/seed"]
    set_by_a_person = {"data/color", "model/tv_weight", "model/features/pooling"}
    assert names[:5] == first and set(names[5:8]) == set_by_a_person
    for name in ("data/style_mask", "data/style_scale", "model/style_weight", "model/features/padding", "version"):
        assert name in names[8:]
    assert not [name for name in names if "instantiator" in name]
    assert found["version"] == nst_lightning.__version__
    bare = without_folders(found)
    assert bare["data/content"] == "chenonceau.png" and bare["data/style"] == "starry_night.png (bytes)"
