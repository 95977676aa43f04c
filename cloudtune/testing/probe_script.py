"""A training script that does as its configuration says; ``BackendContract`` runs it on every backend.

``units``: work to do, one report each. ``seconds``: per unit. ``keep``: 1 to write a checkpoint after each unit.
``behave``: ``fail`` raises instead of doing unit ``at``, ``crash`` raises before all work, ``silent`` reports nothing,
``odd`` reports NaN and infinities, ``stubborn`` ignores SIGTERM.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

from cloudtune.checkpointing import (
    add_checkpointing_to_argparse,
    add_config_json_to_argparse,
    checkpoint_model_at_rung_level,
    load_config_json,
    resume_from_checkpointed_model,
)
from cloudtune.report import Reporter


def run(config: dict[str, Any]) -> None:
    behave = config.get("behave", "")
    if behave == "crash":
        raise RuntimeError("the probe crashes, as it was told to")
    if behave == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report = Reporter()
    done = resume_from_checkpointed_model(config, _load)
    print(f"probe goes on after unit {done}", flush=True)
    for unit in range(done + 1, config["units"] + 1):
        time.sleep(config.get("seconds", 0.0))
        if behave == "fail" and unit == config["at"]:
            raise RuntimeError("the probe fails, as it was told to")
        if config.get("keep"):
            checkpoint_model_at_rung_level(config, _save, unit)
        if behave == "odd":
            report(epoch=unit, value=float("nan"), high=float("inf"), low=float("-inf"))
        elif behave != "silent":
            report(epoch=unit, value=config.get("base", 0.0) + unit)
    print("probe is done", file=sys.stderr)


def _save(folder: str, unit: int) -> None:
    Path(folder, "unit").write_text(str(unit))


def _load(folder: str) -> int:
    return int(Path(folder, "unit").read_text())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--keep", type=int, default=0)
    parser.add_argument("--behave", default="")
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--base", type=float, default=0.0)
    add_checkpointing_to_argparse(parser)
    add_config_json_to_argparse(parser)
    args, _ = parser.parse_known_args()
    run(load_config_json(vars(args)))


if __name__ == "__main__":
    main()
