"""A callback can neither end the tuning nor fail unnoticed."""

from __future__ import annotations

import logging

import pytest

from cloudtune.callbacks.base import CallbackList, TunerCallback


class Broken(TunerCallback):
    def on_loop_start(self) -> None:
        raise ZeroDivisionError("mine")


class Counting(TunerCallback):
    def __init__(self) -> None:
        self.starts = 0

    def on_loop_start(self) -> None:
        self.starts += 1


def test_the_others_are_called_and_the_failure_is_told(caplog: pytest.LogCaptureFixture) -> None:
    counting = Counting()
    callbacks = CallbackList([Broken(), counting])
    with caplog.at_level(logging.ERROR):
        callbacks.call("on_loop_start")
        callbacks.call("on_loop_start")
    assert counting.starts == 2
    assert callbacks.errors == {"Broken.on_loop_start": 2}
    assert "ZeroDivisionError: mine" in caplog.text


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_interrupts_pass(interrupt: type[BaseException]) -> None:
    class Interrupting(TunerCallback):
        def on_loop_end(self) -> None:
            raise interrupt

    with pytest.raises(interrupt):
        CallbackList([Interrupting()]).call("on_loop_end")
