"""``cloudtune stop|resume`` on experiments that another process runs, or ran."""

from __future__ import annotations

from cloudtune.journal import events as ev
from tests.cli.support import Toy, json_of


def kinds(toy: Toy) -> list[str]:
    return [type(event).__name__ for event in toy.events()]


def test_stop_ends_what_another_process_runs(toy: Toy) -> None:
    tuner = toy.launch_and_hold()
    said = toy.cloudtune("stop", "toy")
    assert f"Process {tuner.pid} was asked to end the experiment" in said
    assert "toy has ended." in said
    assert tuner.wait(120) == 0
    assert toy.running() == []
    assert kinds(toy)[-1] == "ExperimentFinished"
    summary = json_of(toy.cloudtune("status", "toy", "--json"))
    assert summary["ended"] == "the tuner was asked to terminate"
    assert [trial["status"] for trial in summary["trials"]] == ["Stopped", "Stopped"]
    assert toy.cloudtune("stop", "toy") == "toy has ended already: the tuner was asked to terminate.\n"


def test_stop_ends_the_trials_of_a_tuner_that_was_killed(toy: Toy) -> None:
    toy.kill(toy.launch_and_hold())
    assert len(toy.running()) == 2
    assert "toy has ended." in toy.cloudtune("stop", "toy")
    assert toy.running() == []
    assert json_of(toy.cloudtune("status", "toy", "--json"))["ended"] == "asked to stop"


def test_resume_after_a_kill_launches_nothing_twice_and_counts_everything_once(toy: Toy) -> None:
    toy.kill(toy.launch_and_hold())
    toy.release()
    said = toy.cloudtune("resume", "toy")
    assert "continuing toy" in said
    assert "Ended: 4 is more than max_num_trials_started=3." in said
    assert kinds(toy).count("SessionStarted") == 2
    toy.check_books(trials=4)


def test_resume_goes_on_with_an_experiment_that_was_stopped(toy: Toy) -> None:
    toy.launch_and_hold()
    toy.cloudtune("stop", "toy")
    toy.release()
    toy.cloudtune("resume", "toy")
    statuses = [trial["status"] for trial in json_of(toy.cloudtune("status", "toy", "--json"))["trials"]]
    assert statuses == ["Stopped", "Stopped", "Completed", "Completed"]
    toy.check_books(trials=4)


def test_resume_has_nothing_to_do_until_the_limit_is_widened(toy: Toy) -> None:
    toy.run()
    before = len(toy.scripts())
    assert "Nothing was left to do" in toy.cloudtune("resume", "toy")
    assert len(toy.scripts()) == before
    # the other limits stay: an hour is not reached
    said = toy.cloudtune("resume", "toy", "--max-num-trials-started", "5", "--n-workers", "1")
    assert "Ended: 6 is more than max_num_trials_started=5." in said
    toy.check_books(trials=6)


def test_what_runs_can_not_be_resumed(toy: Toy) -> None:
    tuner = toy.launch_and_hold()
    before = toy.events()
    said = toy.cloudtune("resume", "toy", status=1)
    assert "JournalConflictError: another tuner is running this experiment" in said
    assert [event for event in toy.events() if isinstance(event, ev.SessionStarted)] == before[1:2]
    toy.release()
    assert tuner.wait(120) == 0
    toy.check_books(trials=4)


def test_without_the_saved_tuner_the_way_out_is_the_script(toy: Toy) -> None:
    toy.kill(toy.launch_and_hold())
    (toy.folder / "experiments" / "toy" / "tuner.dill").unlink()
    said = toy.cloudtune("resume", "toy", status=1)
    assert "has no tuner.dill" in said
    assert "run its script again under the same tuner_name" in said
