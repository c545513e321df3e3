"""``nst compare``: write the page, or tally the answers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nst_lightning.compare.answers import read_answers
from nst_lightning.compare.inputs import Sources
from nst_lightning.compare.key import JUDGE, KEY, QUESTIONS, key_for, read_key
from nst_lightning.compare.options import OUTPUT, parse
from nst_lightning.compare.page import Comparison
from nst_lightning.compare.results import in_common, methods_of
from nst_lightning.compare.tally import report, rows
from nst_lightning.errors import UsageError
from nst_lightning.pictures.atomic import write_table


def compare(words: Sequence[str]) -> int:
    """Run the command with the words after ``compare``; 0.

    Raises:
        UsageError: with what to say; nothing is written then.
    """
    options = parse(words)
    return _tally(options) if options.tally else _write(options)


def _write(options: argparse.Namespace) -> int:
    methods = methods_of(options.folders)
    names = in_common(methods)
    sources = Sources(options.content, options.style)
    inputs = {name: sources.of([results[name] for results in methods.values()]) for name in names}
    comparison = Comparison(methods, inputs, options.seed, options.repeats)
    folder = Path(options.output)
    if not _is_there(folder, comparison.id):
        try:
            comparison.write(folder)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"--output {options.output}: cannot be written ({why})") from error
    count = len(comparison.pairs)
    left_out = len({name for results in methods.values() for name in results} - set(names))
    said = [str(folder / JUDGE / "index.html"), f"{len(methods)} methods", f"{len(names)} pictures"]
    said += [f"{left_out} left out, which not all have"] if left_out else []
    said += [f"{count * len(QUESTIONS)} questions on {count} pairs", f"keep {folder / KEY} from the judges"]
    print(" · ".join(said), flush=True)
    return 0


def _is_there(folder: Path, comparison: str) -> bool:
    """Whether this very comparison is in the folder already.

    Raises:
        UsageError: if something else is.
    """
    try:
        there = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise UsageError(f"--output {folder}: cannot be written ({getattr(error, 'strerror', None) or error})") from error
    if not there:
        return False
    if KEY not in there or not (folder / JUDGE / "index.html").is_file():
        raise UsageError(f"--output {folder}: has other files ({there[0]}); give a new folder")
    if read_key(folder / KEY).comparison != comparison:
        raise UsageError(
            f"--output {folder}: has a comparison of other pictures, or another seed; its answers need its key. "
            "Give a new folder, or remove it"
        )
    return True


def _tally(options: argparse.Namespace) -> int:
    paths = options.key or key_for(options.tally, OUTPUT)
    if not paths:
        raise UsageError(f"--key: give the {KEY} that nst compare wrote beside the page's folder")
    answers = read_answers(options.tally, {key.comparison: key for key in map(read_key, paths)}, paths)
    if options.output:
        try:
            write_table(Path(options.output), rows(answers))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"--output {options.output}: cannot be written ({why})") from error
    print(report(answers) + (f"\n{options.output}" if options.output else ""), flush=True)
    return 0
