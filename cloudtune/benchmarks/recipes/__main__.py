"""``python -m cloudtune.benchmarks.recipes mlp-digits``: make a blackbox now, and keep it."""

from __future__ import annotations

import argparse

from cloudtune.benchmarks.recipes import RECIPES
from cloudtune.benchmarks.repository import blackbox_local_path, load_blackbox


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m cloudtune.benchmarks.recipes", description=__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--s3-root", help="a prefix to look at first, and to keep it under, too")
    arguments = parser.parse_args()
    for dataset, blackbox in load_blackbox(arguments.name, s3_root=arguments.s3_root).items():
        print(
            f"{dataset}: {blackbox.num_seeds} seeds, {blackbox.num_fidelities} fidelities, {blackbox.objectives_names}"
        )
    print(f"in {blackbox_local_path(arguments.name)}")


if __name__ == "__main__":
    main()
