"""The script that was never written for tuning: plain lines, no trace of us."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from cloudtune.report import parse_report_line

SCRIPT = Path(__file__).parent.parent.parent / "training_scripts" / "digits_regex" / "train.py"
LINE = re.compile(r"epoch (\d+): train loss (\S+), validation accuracy (\S+)")


def lines(folder: Path, *arguments: str) -> list[str]:
    """What it prints, away from the environment and the folder of the tests."""
    command = [sys.executable, "-I", str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_it_prints_lines_for_people(tmp_path: Path) -> None:
    printed = lines(tmp_path, "--epochs", "4")
    assert "cloudtune" not in SCRIPT.read_text()
    assert not any(map(parse_report_line, printed))
    matches = [match for match in map(LINE.fullmatch, printed) if match]
    assert [int(match[1]) for match in matches] == [1, 2, 3, 4]
    assert len(printed) > 4, "other lines too"
    assert "e" in matches[0][2], "scientific notation"
    assert float(matches[-1][3]) > 0.9


def test_its_hyperparameters_matter(tmp_path: Path) -> None:
    good, wild = (LINE.fullmatch(lines(tmp_path, "--epochs", "3", "--eta0", eta0)[-2]) for eta0 in ("0.05", "50"))
    assert good and wild
    assert float(good[3]) > 0.9 > float(wild[3])
    assert float(good[2]) < float(wild[2])
