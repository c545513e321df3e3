"""What ``--help`` says: on one screen, by want. Every flag is in ``fit --help_all``, which the parser writes itself."""

from __future__ import annotations

PROGRAM = """\
usage: nst PHOTO PAINTING [-o FILE] [flags]     one picture; the same as nst fit
       nst study NAME [flags]                   a grid of pictures
       nst compare A/ B/                        ask people which they prefer
       nst video clip.mp4 painting.jpg          a painted film
       nst ui                                   a page to paint on
       nst demo                                 see it work, in about a minute

Neural style transfer: paints a photo in the look of a painting.

  nst photo.jpg painting.jpg -o out.png
  nst photo.jpg painting.jpg -o out.png --size 1024 --style_weight 500
  nst study gallery --data.size 128

more:  nst fit --help        what to give to get what
       nst study --help      grids of runs: which settings, on which machines
       nst compare --help    blind comparisons: page, keys, scores
       nst ui --help         where the page is, for whom, and where pictures go
       nst fit --help_all    every flag there is
       nst --version
"""

FIT = """\
usage: nst [fit] PHOTO PAINTING [-o FILE] [flags]

  nst photo.jpg painting.jpg -o out.png --size 1024 --style_weight 500

more of the painting  --style_weight 1000  (200; useful from 20 to 5000)
larger                --size 1024  (longer side in pixels, 512), or original
my photo's colours    --color luminance, or match, or oklab
larger strokes        --style_scale 1.5
faster, or finer      --preset draft, or --preset fine  (standard)
another variant       --init noise --seed 7
several paintings     --style a.jpg b.jpg --style_weights 1 2
one for each region   --content_mask photo_mask.png --style_mask other_mask.png
a method of others    --recipe gatys  (assignment, crowson, johnson,
                      nnst, spst, strotss, wasserstein)
another task          --config texture --style a.jpg  (or reconstruct)
my own settings       --config mine.yaml  (print all: --print_config)
to go on              --ckpt_path logs/transfer  (Ctrl-C keeps the picture)
where it is written   -o out.png  (or .jpg .tif .webp; --bits 16, --quality 90);
                      logs/transfer/version_N_… keeps config, checkpoint and
                      TensorBoard run; --trainer.logger false writes none

A section may be left out where one alone has the flag: --size is --data.size.
Every flag: nst fit --help_all
"""
