"""The searchers that are compared: ours and peers', each in a process of its own, spoken to by worker.py's protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PEER_METHODS = {
    "optuna": ("optuna-tpe", "optuna-gp", "optuna-cma"),
    "st13": ("st13-bo", "st13-kde", "st13-bore"),
    "st16": ("st16-botorch", "st16-tpe", "st16-cqr", "st16-bore"),
}
"""By the library that has them: optuna 5, syne-tune 0.13, syne-tune 0.16."""


class MethodError(Exception):
    """The library raised, or its process ended."""


def peer(text: str) -> tuple[str, str]:
    """``optuna=/path/to/python``, an argument of the command line."""
    name, equals, python = text.partition("=")
    if not equals or name not in PEER_METHODS:
        raise ArgumentTypeError(f"{text!r} is not one of {', '.join(PEER_METHODS)} followed by =/path/to/python")
    return name, python


def is_peer(method: str) -> bool:
    return method.partition("-")[0] in PEER_METHODS


def interpreter(method: str, peers: Mapping[str, str]) -> str | None:
    """What runs this method; None if its library was not given. Ours: this one."""
    return peers.get(method.partition("-")[0]) if is_peer(method) else sys.executable


class Process:
    """A worker with one library loaded; several runs after one another save its imports. One thread for BLAS."""

    def __init__(self, python: str) -> None:
        environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
        environment.pop("OPENBLAS_CORETYPE", None)  # every library chooses for itself
        if python == sys.executable:
            environment.setdefault("PYTHONPATH", str(HERE.parents[1]))
        else:
            environment.pop("PYTHONPATH", None)
        environment.setdefault("SYNETUNE_FOLDER", str(Path.home() / ".cache" / "syne-tune"))
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=HERE.parents[1],
        )

    def call(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise MethodError(f"the worker ended with {self.process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise MethodError(reply["error"])
        return reply

    def start(
        self,
        method: str,
        space: Mapping[str, Any],
        seed: int,
        preload: Sequence[tuple[Mapping[str, Any], float]] = (),
    ) -> float:
        """A new searcher that knows of the results in ``preload``; seconds it took."""
        reply = self.call(do="start", method=method, space=space, seed=seed, preload=list(preload))
        return float(reply["seconds"])

    def ask(self) -> tuple[dict[str, Any], float]:
        reply = self.call(do="ask")
        return reply["config"], float(reply["seconds"])

    def tell(self, value: float) -> float:
        return float(self.call(do="tell", value=value)["seconds"])

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
