"""The page: what stands where, and which handler each button calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from nst_lightning.cli.shipped import ROOT
from nst_lightning.presets import PRESETS
from nst_lightning.ui.handlers import Handlers
from nst_lightning.ui.painting import Easel
from nst_lightning.ui.wishes import BALANCE, COLORS, SIZES, STROKES

SAMPLES = Path(__file__).parents[1] / "pictures" / "samples"
HEAD = '<meta name="robots" content="noindex">'
# of galleries of small pictures, one of which is chosen
CHOICE: dict[str, Any] = {"object_fit": "contain", "fit_columns": False, "allow_preview": False}
CSS = """
footer { display: none !important; }
.gradio-container { max-width: 1180px !important; margin: auto; }
#history .grid-container, #variants .grid-container, #painting .grid-container {
  grid-template-columns: repeat(auto-fill, minmax(110px, 1fr)) !important; /* as many as a phone has room for */
}
#status p { font-size: 1.05rem; min-height: 1.6em; }
#command textarea, #config textarea { font-family: monospace; font-size: .8rem; }
"""


def theme() -> gr.themes.Base:
    """Fonts of the machine: others would be fetched from another host."""
    return gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def as_dropped(payload: Any) -> str | None:
    """A picture handed on as the file that was dropped: the program's own reader knows more kinds than the library's."""
    return None if payload is None else str(payload.path)


def examples() -> tuple[list[str], list[str]]:
    """Photographs and paintings that come along: those of the repository, or of the package."""
    images = ROOT.parent / "images"
    photos = [str(path) for path in sorted((images / "content").glob("*.jpg"))[:5]]
    paintings = [str(path) for path in sorted((images / "style").glob("*.jpg"))[:7]]
    if not photos or not paintings:
        return [str(SAMPLES / "photo.jpg")], [str(SAMPLES / "painting.jpg")]
    return photos, paintings


def make_page(easel: Easel) -> gr.Blocks:
    """The whole page."""
    handlers = Handlers(easel)
    photos, paintings = examples()
    with gr.Blocks(title="nst: paint", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        name = gr.State("")
        states = gr.State([])
        names = gr.State([])
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                photo = gr.Image(
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    label="Photograph",
                    height=220,
                    elem_id="photo",
                )
                dropped: Any = photo
                dropped.preprocess = as_dropped
                painting = gr.Gallery(
                    type="filepath",
                    interactive=True,
                    label="Painting, or several",
                    height=200,
                    columns=3,
                    elem_id="painting",
                    object_fit="contain",
                    fit_columns=False,
                    file_types=["image"],
                )
                gr.Examples([[one] for one in photos], [photo], label="Photographs that come along", examples_per_page=6)
                gr.Examples(
                    [[[one]] for one in paintings], [painting], label="Paintings that come along", examples_per_page=8
                )
            with gr.Column(scale=3, min_width=320):
                slider = gr.ImageSlider(
                    label="Photograph and painting", interactive=False, elem_id="result", max_height=560
                )
                status = gr.Markdown("", elem_id="status")
                with gr.Row():
                    go = gr.Button("Paint", variant="primary", elem_id="go", min_width=80)
                    stop = gr.Button("Stop", elem_id="stop", min_width=80)
                    undo = gr.Button("Undo", elem_id="undo", min_width=80)
                    more = gr.Button("Continue", elem_id="continue", min_width=80)
                cost = gr.Markdown("Drop a photograph and a painting, or choose some below.", elem_id="cost")
                balance = gr.Slider(
                    -BALANCE,
                    BALANCE,
                    0,
                    step=0.25,
                    label="More photograph ↔ more painting",
                    info="style_weight, in doublings",
                    elem_id="balance",
                )
                stroke = gr.Slider(*STROKES, 1.0, step=0.05, label="Stroke size", info="style_scale", elem_id="stroke")
                color = gr.Radio(list(COLORS), value="the painting's", label="Colours", info="color", elem_id="color")
                size = gr.Radio(
                    [str(one) for one in SIZES],
                    value="512",
                    label="Longer side of the result, in pixels",
                    info="size",
                    elem_id="size",
                )
                quality = gr.Radio(list(PRESETS), value="draft", label="Care", info="preset", elem_id="preset")
                with gr.Accordion("More", open=False):
                    seed = gr.Number(
                        0, precision=0, minimum=0, label="Chance", info="seed: the same number makes the same picture"
                    )
                    curve = gr.LinePlot(
                        pd.DataFrame({"step": [0], "loss": [0.0]}), x="step", y="loss", height=160, label="Loss"
                    )
        with gr.Accordion("Brush: leave a part as it is, or paint it after another painting", open=False):
            take = gr.Button("Take the photograph", elem_id="take")
            brush = gr.ImageEditor(
                type="numpy",
                sources=[],
                brush=gr.Brush(default_size=40, colors=["#ff0000"], color_mode="fixed"),
                transforms=(),
                layers=True,
                label="Paint over a part",
                elem_id="brush",
            )
            masked = gr.Radio(
                ["leave as it is", "painting 1", "painting 2", "painting 3"],
                value="leave as it is",
                label="What was painted over",
                elem_id="masked",
            )
        with gr.Accordion("Variants: four small ones to choose from", open=False):
            row = gr.Button("Paint four", elem_id="four")
            gallery = gr.Gallery(
                columns=4, height=260, label="Choose one: its dials are taken", elem_id="variants", **CHOICE
            )
        with gr.Accordion("A folder of photographs", open=False):
            many = gr.Files(file_types=["image"], label="Photographs", elem_id="many")
            all_ = gr.Button("Paint all", elem_id="all")
            progress = gr.Markdown("", elem_id="progress")
            made = gr.Files(label="Results", interactive=False, elem_id="made")
        with gr.Accordion("Everything painted so far", open=True):
            said = "Newest first; choose one for its files and the command that makes it again"
            history = gr.Gallery(columns=5, height=300, label=said, elem_id="history", **CHOICE)
            offered = "PNG, TIFF with 16 bits, and the painting as a film"
            files = gr.Files(label=offered, height=190, interactive=False, elem_id="files")
            command = gr.Textbox(label="Command", buttons=["copy"], interactive=False, lines=2, elem_id="command")
            config = gr.Textbox(
                label="Config", buttons=["copy"], interactive=False, lines=4, max_lines=12, elem_id="config"
            )
        dials = [quality, size, balance, stroke, color, seed]
        outputs = [slider, status, curve, name]
        painted = go.click(
            handlers.paint,
            [photo, painting, brush, masked, *dials],
            outputs,
            api_name="paint",
            concurrency_limit=None,
            show_progress="hidden",
        )
        painted.then(handlers.history, None, [history, names], show_progress="hidden")
        went = more.click(
            handlers.go_on, [name], outputs, api_name="continue", concurrency_limit=None, show_progress="hidden"
        )
        went.then(handlers.history, None, [history, names], show_progress="hidden")
        stop.click(handlers.stop, [name], None, api_name="stop")
        undo.click(handlers.undo, [name], [balance, stroke, color], api_name="undo")
        for dial in (balance, stroke):
            dial.release(
                handlers.turn,
                [name, balance, stroke, color],
                None,
                api_name="turn" if dial is balance else None,
                show_progress="hidden",
            )
        color.change(handlers.turn, [name, balance, stroke, color], None, show_progress="hidden")
        fields: list[Any] = [photo, painting, *dials]
        for field in fields:
            field.change(
                handlers.cost,
                [photo, painting, *dials],
                cost,
                api_name="cost" if field is photo else None,
                show_progress="hidden",
            )
        take.click(lambda path: path, [photo], [brush], show_progress="hidden")
        four = row.click(
            handlers.variants, [photo, painting, *dials], [gallery, states], api_name="variants", concurrency_limit=None
        )
        four.then(handlers.history, None, [history, names], show_progress="hidden")
        gallery.select(handlers.chosen, [states], [balance, stroke, color, seed], show_progress="hidden")
        history.select(handlers.kept, [names], [command, config, files], show_progress="hidden")
        batch = all_.click(
            handlers.folder,
            [many, painting, *dials],
            [progress, made],
            api_name="folder",
            concurrency_limit=None,
            show_progress="hidden",
        )
        batch.then(handlers.history, None, [history, names], show_progress="hidden")
        page.load(handlers.history, None, [history, names], api_name="history", show_progress="hidden")
        page.load(handlers.again, None, outputs, show_progress="hidden", concurrency_limit=None)
    return page
