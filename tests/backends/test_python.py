from __future__ import annotations

import functools
import json
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudtune import Reporter, uniform
from cloudtune.backends import PythonBackend, TrialBackend
from cloudtune.backends.function_payload import pack_function
from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.testing.backend_contract import Watch
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Config
from tests.backends.helpers import opened

FACTOR = 3.0
made_here = 0


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., tuple[Watch, Attempt]]]:
    watches: list[Watch] = []

    def run(function: Callable[..., object], config: Config) -> tuple[Watch, Attempt]:
        watches.append(opened(PythonBackend(function, config), tmp_path))
        attempt = Attempt(AttemptId(0, 0), config)
        watches[-1].start_again(attempt)
        watches[-1].finish(attempt)
        return watches[-1], attempt

    yield run
    for watch in watches:
        watch.end_all()


Run = Callable[[Callable[..., object], Config], "tuple[Watch, Attempt]"]


def objective(lr: float, layers: list[int], name: str = "default") -> None:
    import math

    from cloudtune import Reporter

    class Scale:
        factor: float = 2.0

    def scaled(value: float) -> float:
        return Scale.factor * value

    Reporter()(loss=scaled(math.sqrt(lr)), layers=[width + 1 for width in layers], name=name)


def test_a_function_gets_the_configuration_as_it_is(run: Run) -> None:
    watch, attempt = run(objective, {"lr": 0.25, "layers": [1, 2], "constant": "-x"})
    (report,) = watch.reports(attempt)
    assert (report.metrics["loss"], report.metrics["layers"], report.metrics["name"]) == (1.0, [2, 3], "default")


def test_a_function_may_take_everything_and_its_checkpoint_folder(run: Run) -> None:
    def takes_all(lr: float, **rest: object) -> None:
        from cloudtune import Reporter

        Reporter()(lr=lr, rest=rest)

    watch, attempt = run(takes_all, {"lr": 0.25, "epochs": 3})
    rest = watch.reports(attempt)[0].metrics["rest"]
    assert rest["epochs"] == 3
    assert rest["st_checkpoint_dir"].endswith("/0/checkpoints")


def test_a_function_made_inside_another_brings_what_it_holds(run: Run) -> None:
    offset = 10.0

    def shifted(x: float) -> None:
        from cloudtune import Reporter

        Reporter()(x=x + offset)

    watch, attempt = run(shifted, {"x": 1.0})
    assert watch.reports(attempt)[0].metrics["x"] == 11.0


def test_a_lambda_is_a_function(run: Run) -> None:
    watch, attempt = run(lambda x: __import__("cloudtune").Reporter()(x=x), {"x": 1.0})
    assert watch.reports(attempt)[0].metrics["x"] == 1.0


def test_a_function_that_raises_fails_with_its_traceback(run: Run) -> None:
    def broken(x: float) -> None:
        raise RuntimeError(f"no luck with {x}")

    watch, attempt = run(broken, {"x": 1.5})
    ending = watch.ending(attempt)
    assert ending is not None
    assert ending.reason.endswith("RuntimeError: no luck with 1.5")


def test_nothing_is_loaded_if_the_payload_was_changed(tmp_path: Path) -> None:
    backend = PythonBackend(objective, {"lr": 1, "layers": 1})
    watch = opened(backend, tmp_path)
    path = backend.tune_function_path
    assert path.parent.parent == tmp_path / "experiment"
    path.write_bytes(path.read_bytes() + b".")
    attempt = Attempt(AttemptId(0, 0), {"lr": 0.25, "layers": [1]})
    watch.start_again(attempt)
    watch.finish(attempt)
    ending = watch.ending(attempt)
    assert ending is not None
    assert ending.status is AttemptStatus.FAILED
    assert "SHA-256" in ending.reason
    assert "nothing was loaded" in ending.reason
    watch.end_all()


def test_attempts_of_a_changed_function_don_not_touch_those_before(tmp_path: Path) -> None:
    def changed(lr: float) -> None:
        from cloudtune import Reporter

        Reporter()(loss=-1.0)

    first = PythonBackend(objective, {"lr": 1, "layers": 1})
    opened(first, tmp_path)
    watch = opened(PythonBackend(changed, {"lr": 1}), tmp_path)
    assert first.tune_function_path.exists()
    attempt = Attempt(AttemptId(0, 0), {"lr": 0.25})
    watch.start_again(attempt)
    watch.finish(attempt)
    assert watch.reports(attempt)[0].metrics["loss"] == -1.0
    watch.end_all()


def test_the_experiment_is_named_after_the_function() -> None:
    backend: TrialBackend = PythonBackend(objective, {"lr": 1, "layers": 1})
    assert backend.entry_point is not None
    assert backend.entry_point.stem == "objective"


# -- what bad input gets -----------------------------------------------------------------------------------------------


def uses_a_module(x: float) -> float:
    return math.sqrt(x)


def uses_a_global(x: float) -> float:
    return FACTOR * x


def uses_one_deep_inside(x: float) -> list[float]:
    return (lambda: [FACTOR * x])()


def uses_one_in_a_method(x: float) -> None:
    class Inner:
        FACTOR = 1.0

        def method(self) -> float:
            return FACTOR  # not the one of the class


def uses_a_class(x: float) -> None:
    Reporter()(x=x)


class Objective:
    def __call__(self, x: float) -> None: ...

    def method(self, x: float) -> None: ...


def takes_positional(x: float, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (uses_a_module, r"uses_a_module\(\) uses 'math' \(a module\)"),
        (uses_a_global, r"uses 'FACTOR'"),
        (uses_one_deep_inside, r"uses 'FACTOR'"),
        (uses_one_in_a_method, r"uses 'FACTOR'"),
        (uses_a_class, r"uses 'Reporter'"),
        (Objective(), "not a function"),
        (Objective, "not a function"),
        (Objective().method, "not a function"),
        (functools.partial(objective, lr=1), "not a function"),
        (print, "not a function"),
        ("objective", "not a function"),
        (takes_positional, "no name to be passed by"),
        (lambda *args: None, "no name to be passed by"),
    ],
)
def test_a_function_that_can_not_travel_is_refused(function: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        PythonBackend(function, {"x": uniform(0, 1), "lr": 1, "layers": 1})
    assert caught.value.hint


def test_what_can_not_be_serialized_is_named() -> None:
    lock = threading.local()

    def locked(x: float) -> None:
        lock.value = x

    with pytest.raises(OptionError, match=r"locked\(\) can't be serialized.*'lock'"):
        PythonBackend(locked, {"x": 1})


def test_an_argument_that_is_not_in_the_space_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigSpaceError, match="'lr'") as caught:
        PythonBackend(objective, {"lrr": uniform(0, 1), "layers": 1})
    assert "'lrr'" in caught.value.hint


def test_class_statements_and_own_globals_are_no_outside_names() -> None:
    def fine(x: float) -> None:
        class Inner:
            """With a docstring."""

            y: int = 1

        def recursive(n: int) -> int:
            return n and recursive(n - 1)

        def counts() -> None:
            global made_here
            made_here = 1
            print(made_here)

        print(Inner, recursive(int(x)), json_text, counts)

    json_text = json.dumps({})
    payload = pack_function(fine)
    assert (payload.parameters, payload.required) == (("x",), ("x",))
