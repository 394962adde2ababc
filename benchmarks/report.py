"""`python -m benchmarks.report RUN.json…`: the tables, and the plots, of runs that were made before.

Several runs are taken together: medians and spreads are over the repetitions of all of them.
"""

import argparse
from pathlib import Path

from .figures import Runs
from .grid import console_for_tables
from .plots import draw
from .tables import grids


def show(runs: Runs, *, markdown: Path | None, plots: Path | None) -> None:
    """Print the tables; write them, and draw the plots, where asked to."""
    console = console_for_tables()
    for grid in grids(runs):
        console.print(grid.rich())
    if markdown is not None:
        markdown.write_text("\n".join(grid.markdown() for grid in grids(runs)))
    if plots is not None:
        for path in draw(runs, folder=plots):
            console.print(f"drawn: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.json")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there as well")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the plots into this folder")
    options = parser.parse_args()
    show(Runs.read(options.runs), markdown=options.markdown, plots=options.plots)


if __name__ == "__main__":
    main()
