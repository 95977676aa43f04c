"""``cloudtune status|watch|logs|results|plot`` on experiments that really ran."""

from __future__ import annotations

import csv
import signal

import pytest

from tests.cli.support import Toy, json_of, wait_until


def test_status_of_a_running_experiment(toy: Toy) -> None:
    tuner = toy.launch_and_hold()
    said = toy.cloudtune("status", "toy")
    assert "2 InProgress" in said
    assert "Ended" not in said
    summary = json_of(toy.cloudtune("status", "toy", "--json"))
    assert summary["running"] is True
    assert summary["ended"] is None
    assert [trial["status"] for trial in summary["trials"]] == ["InProgress", "InProgress"]
    assert summary["trials"][0]["last_result"]["epoch"] == 1
    toy.release()
    assert tuner.wait(120) == 0


def test_status_of_a_finished_experiment(finished: Toy) -> None:
    said = finished.cloudtune("status", "toy")
    assert "4 trials (4 Completed), 12 reports" in said.replace("\n", " ")
    assert "Ended: 4 is more than max_num_trials_started=3." in said
    summary = json_of(finished.cloudtune("status", "toy", "--json"))
    assert summary["running"] is False
    assert summary["ended"] == "4 is more than max_num_trials_started=3"
    assert summary["reports"] == 12


def test_watch_follows_to_the_end_in_plain_lines_where_there_is_no_terminal(toy: Toy) -> None:
    tuner = toy.launch_and_hold()
    watching = toy.start_cloudtune("watch", "toy", "--interval", "0.05")
    assert watching.stdout is not None
    first = watching.stdout.readline()
    assert "2 InProgress" in first
    toy.release()
    said, _ = watching.communicate(timeout=120)
    assert watching.returncode == 0, said
    *_, last, ending = said.splitlines()
    assert last.startswith("4 trials (4 Completed), 12 reports")
    assert ending == "Ended: 4 is more than max_num_trials_started=3."
    assert tuner.wait(120) == 0


def test_ctrl_c_ends_the_watching_and_not_the_experiment(toy: Toy) -> None:
    tuner = toy.launch_and_hold()
    watching = toy.start_cloudtune("watch", "toy", "--interval", "0.05")
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    said, _ = watching.communicate(timeout=120)
    assert watching.returncode == 0
    assert "The experiment goes on. Look again: cloudtune watch toy" in said
    assert tuner.poll() is None
    toy.release()
    assert tuner.wait(120) == 0
    toy.check_books(trials=4)


def test_a_tuner_that_has_died_is_told_from_one_that_runs(toy: Toy) -> None:
    toy.kill(toy.launch_and_hold())
    for command in ("status", "watch"):
        said = toy.cloudtune(command, "toy", status=1 if command == "watch" else 0)
        assert "No tuner runs it: it has died. Go on with it: cloudtune resume toy" in said
    toy.release()
    wait_until(lambda: not toy.running(), "the trials it left behind end")


def test_logs_of_one_trial_and_of_all(finished: Toy) -> None:
    one = finished.cloudtune("logs", "toy", "--trial", "1").splitlines()
    assert [line for line in one if line.startswith("epoch")] == ["epoch 1", "epoch 2", "epoch 3"]
    all_of_them = finished.cloudtune("logs", "toy").splitlines()
    assert [line for line in all_of_them if line.endswith("epoch 1")] == [f"{trial}: epoch 1" for trial in range(4)]
    assert "trials are numbered from 0 to 3" in finished.cloudtune("logs", "toy", "--trial", "4", status=1)


def test_results_are_the_best_configuration_and_all_reports_as_csv(finished: Toy) -> None:
    table = finished.folder / "new" / "reports.csv"
    said = finished.cloudtune("results", "toy", "--output", str(table))
    assert "toy: 4 trials, 12 reports, 0.00 $" in said
    best = json_of(finished.cloudtune("results", "toy", "--json"))["best"]
    assert best["x"] == min(finished.scripts().values())
    assert best["loss"] == pytest.approx(best["x"] + 1 / 3)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["trial_id"]: row["st_status"] for row in rows} == dict.fromkeys("0123", "Completed")
    assert f"12 reports are in {table}" in said.replace("\n", "")


def test_plot_writes_a_picture(finished: Toy) -> None:
    finished.cloudtune("plot", "toy")
    assert (finished.folder / "toy.png").read_bytes().startswith(b"\x89PNG")
    picture = finished.folder / "pictures" / "loss.svg"
    finished.cloudtune("plot", "toy", "--metric", "loss", "-o", str(picture))
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("plot", "toy", "--metric", "acc"), "no report carries a number for 'acc'"),
        (("plot", "toy", "-o", "curve.doc"), "'curve.doc' is no picture"),
        (("plot", "toy", "-o", "train.py/x.png"), "can't write 'train.py/x.png'"),
        (("results", "toy", "--output", "train.py/x.csv"), "can't write 'train.py/x.csv'"),
    ],
)
def test_what_can_not_be_done_is_said(finished: Toy, arguments: tuple[str, ...], error: str) -> None:
    assert error in finished.cloudtune(*arguments, status=1)


@pytest.mark.parametrize("command", ["watch", "results", "resume"])
def test_an_unknown_name_is_an_error_with_the_way_out(finished: Toy, command: str) -> None:
    said = finished.cloudtune(command, "unknown", status=1)
    assert "no experiment 'unknown' in" in said
    assert "is it complete?" in said


def test_the_beginning_of_a_name_is_completed_in_the_hint(finished: Toy) -> None:
    assert "did you mean toy?" in finished.cloudtune("status", "to", status=1)
    assert "did you mean toy?" in finished.cloudtune("status", "tyo", status=1)


def test_experiments_are_found_in_another_folder(finished: Toy, toy: Toy) -> None:
    said = toy.cloudtune("status", "toy", "--local-path", str(finished.folder / "experiments"))
    assert "12 reports" in said
