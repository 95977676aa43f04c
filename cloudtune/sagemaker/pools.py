"""A book of an experiment's warm pools: which jobs hold instances, which are about to give them up, which wait. Pure.

The service picks the instances of a new job itself, among all that match. What can be chosen is when a job is launched,
whether it asks to keep its instances, and which of several launches goes first.
"""

from __future__ import annotations

from collections import defaultdict

from cloudtune.names import parse_job_name
from cloudtune.sagemaker.pool_values import Go, PooledJob, Savings, Stage, Usual, Verdict, Wait, Waiter
from cloudtune.sagemaker.states import JobState
from cloudtune.trial import AttemptId

COLD_START, WARM_START = 150.0, 30.0
"""Seconds from a launch to its script, as long as nothing was measured."""
STOP = 60.0
"""Seconds from asking a job to stop to its end, as long as nothing was measured."""
LONGEST_YIELD = 15.0
"""Seconds for which instances are left to the trial that had them before, if it waits for some."""
ASK_AGAIN = 5.0
"""Seconds after which a launch that waits asks again at the latest: asking costs no call."""
SETTLING = 60.0
"""Seconds after which what a view says counts more than what was expected: views lag."""

_FORGOTTEN = 30.0
"""Seconds after which a launch that waited, and asks no more, was given up."""
_SETTLED = ("Reused", "Terminated")
_BEFORE_ITS_SCRIPT = ("", "Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack", "Downloading")


class PoolBook:
    """``keep_seconds``: for which instances wait. ``most``: pools that may be alive at a time, in use or waiting.
    ``longest_wait``: seconds for which a launch waits at most, if that is less than what a warm start saves.
    """

    def __init__(self, tuner_name: str, keep_seconds: float, most: int, longest_wait: float | None = None) -> None:
        self.most = most
        self.none_kept = False
        """The account keeps no pools: there is nothing to wait for."""
        self._tuner_name = tuner_name
        self._keep_seconds = keep_seconds
        self._longest_wait = longest_wait
        self._jobs: dict[AttemptId, PooledJob] = {}
        self._live: dict[AttemptId, PooledJob] = {}
        """Those whose instances are in use or wait."""
        self._took: defaultdict[AttemptId, set[AttemptId]] = defaultdict(set)
        self._waiters: dict[AttemptId, Waiter] = {}
        """In the order in which they began to wait."""
        self._cold, self._warm, self._stop = Usual(COLD_START), Usual(WARM_START), Usual(STOP)
        self._one_was_kept = False

    # -- launches ------------------------------------------------------------------------------------------------------

    @property
    def saved_by_reuse(self) -> float:
        """Seconds by which a warm start is quicker than a cold one."""
        return max(0.0, self._cold.seconds - self._warm.seconds)

    @property
    def patience(self) -> float:
        """Seconds for which a launch waits at most: no longer than what that saves."""
        return self.saved_by_reuse if self._longest_wait is None else min(self._longest_wait, self.saved_by_reuse)

    def decide(self, attempt: AttemptId, key: str, now: float) -> Verdict:
        """Whether to launch ``attempt`` on instances of this kind now. Asked again and again until it says so."""
        if self.none_kept:
            return Go(keep=True)
        self._expire(now)
        free = self._of(Stage.FREE, key)
        before_us = self._before(attempt, key, free, now)
        own = any(job.attempt.trial_id == attempt.trial_id for job in free)
        if own or len(free) > before_us or len(self._live) < self.most:
            return Go(keep=True)
        awaited = self._awaited(attempt, key, before_us - len(free), now)
        if awaited is None:
            return Go(keep=False)
        waiter = self._waiters.setdefault(attempt, Waiter(key, now, now, awaited.attempt))
        waiter.asked, waiter.awaits = now, awaited.attempt
        left = min(self._free_at(awaited), waiter.since + self.patience) - now
        return Wait(min(max(left, 1.0), ASK_AGAIN), f"waiting for a warm instance: {awaited}")

    def _before(self, attempt: AttemptId, key: str, free: list[PooledJob], now: float) -> int:
        """Launches that wait and go first: who has waited longer, and who waits for what its own trial left."""
        for each, waiter in list(self._waiters.items()):
            if each != attempt and now - waiter.asked > _FORGOTTEN:
                del self._waiters[each]
        theirs = {job.attempt.trial_id for job in free if now - job.free_since <= LONGEST_YIELD}
        count, earlier = 0, True
        for each, waiter in self._waiters.items():
            if each == attempt:
                earlier = False
            elif waiter.key == key and (earlier or each.trial_id in theirs):
                count += 1
        return count

    def _awaited(self, attempt: AttemptId, key: str, before_us: int, now: float) -> PooledJob | None:
        """Whose instances to wait for, if that is worth it."""
        ending = sorted((job for job in self._of(Stage.ENDING, key) if not job.let_go), key=self._free_at)
        if before_us >= len(ending):
            return None
        waiter = self._waiters.get(attempt)
        known = next((job for job in ending if waiter is not None and job.attempt == waiter.awaits), None)
        awaited = known or ending[before_us]
        deadline = (now if waiter is None else waiter.since) + self.patience
        return awaited if now < deadline and self._free_at(awaited) <= deadline else None

    def _free_at(self, job: PooledJob) -> float:
        if job.over_since is not None:
            return job.over_since
        return (job.ending_since or 0.0) + self._stop.seconds

    def launched(self, attempt: AttemptId, key: str, keep: bool, price: float | None, now: float) -> None:
        """It was. What it probably took over is no longer free; the next views tell whether that is so."""
        self._waiters.pop(attempt, None)
        job = self._jobs[attempt] = PooledJob(attempt, key, self._keep_seconds, price)
        if not keep:
            job.stage, job.asked = Stage.GONE, False
            return
        free = self._of(Stage.FREE, key)
        self._live[attempt] = job
        if free:
            taken = min(free, key=lambda each: (each.attempt.trial_id != attempt.trial_id, each.free_since))
            self._gone(taken, max(0.0, now - taken.free_since))
            self._takes(attempt, taken, now)

    def adopted(self, attempt: AttemptId, key: str, price: float | None) -> None:
        """It was launched by an earlier process."""
        if attempt not in self._jobs:
            job = PooledJob(attempt, key, self._keep_seconds, price, asked=False, measured=True, earlier=True)
            self._jobs[attempt] = self._live[attempt] = job

    # -- what becomes of jobs ------------------------------------------------------------------------------------------

    def stopping(self, attempt: AttemptId, now: float) -> None:
        """It was asked to stop."""
        job = self._live.get(attempt)
        if job is not None and job.stage is Stage.RUNNING:
            job.stage, job.ending_since = Stage.ENDING, now

    def saw(self, attempt: AttemptId, state: JobState, now: float) -> None:
        """What a listing, a search or a description says of a job, of an earlier process's too."""
        job = self._jobs.get(attempt)
        if job is None:
            if state.pool is None:
                return
            job = PooledJob(attempt, None, self._keep_seconds, None, measured=True, earlier=True)
            self._jobs[attempt] = self._live[attempt] = job
        if state.modified < job.modified or (job.over_since is not None and not state.is_over):
            return  # it was so once
        job.modified = state.modified
        job.asked |= state.pool is not None
        self._measure_start(job, state)
        if state.is_over:
            self._saw_over(job, state, now)
        elif job.stage is Stage.GONE and state.pool is not None:
            # an earlier call had made it, whose answer was lost
            job.stage, self._live[attempt] = Stage.RUNNING, job
        if job.stage is Stage.RUNNING and (state.status == "Stopping" or state.secondary == "Uploading"):
            job.stage, job.ending_since = Stage.ENDING, now

    def _measure_start(self, job: PooledJob, state: JobState) -> None:
        if job.measured or state.secondary in _BEFORE_ITS_SCRIPT:
            return
        job.measured = True
        if state.secondary == "Training":
            (self._warm if job.warm else self._cold).add(state.modified - state.created)

    def _saw_over(self, job: PooledJob, state: JobState, now: float) -> None:
        if job.over_since is None:
            job.over_since = now
            if job.ending_since is not None and state.status == "Stopped":
                self._stop.add(now - job.ending_since)
            there = state.ended is not None and abs(now - state.ended) <= SETTLING
            job.free_since = state.ended if there and state.ended is not None else now
        pool = state.pool
        if job.settled and (pool is None or pool.status not in _SETTLED):
            return
        job.settled = pool is not None and pool.status in _SETTLED
        if not job.asked:
            self._gone(job)
        elif pool is not None and pool.status == "Reused":
            self._saw_reused(job, pool.reused_by, pool.idle_seconds)
        elif pool is not None and pool.status == "Terminated":
            self._saw_terminated(job, state, pool.idle_seconds)
        elif pool is not None and pool.status == "Available":
            self._saw_available(job, now)
        elif job.stage is Stage.RUNNING:
            job.stage = Stage.ENDING  # word of its pool follows

    def _saw_available(self, job: PooledJob, now: float) -> None:
        self._one_was_kept = True
        if job.stage in (Stage.RUNNING, Stage.ENDING):
            job.stage = Stage.FREE
        elif job.taken_by is not None and now - job.taken_at > SETTLING:
            self._not_taken(job)
            self._free_again(job)

    def _saw_reused(self, job: PooledJob, name: str, idle: float | None) -> None:
        self._one_was_kept = True
        self._gone(job, idle)
        parsed = parse_job_name(self._tuner_name, name)
        by = None if parsed is None else AttemptId(*parsed)
        instead = job.taken_by if job.taken_by != by else None
        if instead is not None:
            self._not_taken(job)
        successor = None if by is None else self._jobs.get(by)
        if by is None or successor is None or successor.warm_for_sure:
            return
        for other in [self._jobs[each] for each in self._took[by] if each != job.attempt]:
            self._not_taken(other)
            if instead is None:
                self._free_again(other)
            else:
                # the service had given the two of them the other way round
                self._takes(instead, other, job.taken_at)
                instead = None
        successor.warm = successor.warm_for_sure = True
        self._takes(by, job, job.taken_at)

    def _saw_terminated(self, job: PooledJob, state: JobState, idle: float | None) -> None:
        silently = job.stage in (Stage.RUNNING, Stage.ENDING) and not (job.let_go or job.earlier or idle)
        self._not_taken(job)
        self._gone(job, idle)
        kept_by_others = state.status in ("Completed", "Stopped") and state.ended is not None
        if silently and kept_by_others and not self._one_was_kept:
            self.none_kept = True

    # -- letting go ----------------------------------------------------------------------------------------------------

    def has_begun(self, attempt: AttemptId) -> bool:
        """Whether it may have got its instances."""
        job = self._jobs.get(attempt)
        return job is not None and job.measured

    def let_go(self, attempt: AttemptId, now: float) -> None:
        """Its instances are not kept: not any longer, or not at its end."""
        job = self._jobs.get(attempt)
        if job is not None:
            job.let_go = True
            if job.stage is Stage.FREE:
                self._gone(job, max(0.0, now - job.free_since))

    def to_let_go(self, now: float) -> list[AttemptId]:
        """Jobs whose instances are kept, or will be, as far as is known; those that wait first."""
        self._expire(now)
        kept = [job for job in self._live.values() if not job.let_go]
        return [job.attempt for job in sorted(kept, key=lambda job: job.stage is not Stage.FREE)]

    def surplus(self, now: float) -> list[AttemptId]:
        """Of more pools than may be alive, those that wait: there are some after a resume with fewer workers."""
        self._expire(now)
        waiting = [job.attempt for job in self._live.values() if job.stage is Stage.FREE and not job.let_go]
        return waiting[: max(0, len(self._live) - self.most)]

    def savings(self, now: float) -> Savings:
        """So far."""
        idle = [
            (now - job.free_since if job.stage is Stage.FREE else job.idle, job.price) for job in self._jobs.values()
        ]
        reused = sum(job.warm for job in self._jobs.values())
        known = all(price is not None for seconds, price in idle if seconds)
        return Savings(
            launches=len(self._jobs),
            reused=reused,
            seconds_saved=reused * self.saved_by_reuse,
            idle_seconds=sum(seconds for seconds, _ in idle),
            idle_dollars=sum(seconds / 3600 * (price or 0.0) for seconds, price in idle) if known else None,
        )

    # -- stages --------------------------------------------------------------------------------------------------------

    def _of(self, stage: Stage, key: str) -> list[PooledJob]:
        return [job for job in self._live.values() if job.stage is stage and job.matches(key)]

    def _takes(self, attempt: AttemptId, job: PooledJob, now: float) -> None:
        job.taken_by, job.taken_at = attempt, now
        self._took[attempt].add(job.attempt)
        self._jobs[attempt].warm = True

    def _free_again(self, job: PooledJob) -> None:
        """It was not taken: it waits as before, for its time."""
        if not job.let_go and not job.settled:
            job.stage, job.idle, self._live[job.attempt] = Stage.FREE, 0.0, job

    def _not_taken(self, job: PooledJob) -> None:
        """Not by whom we thought."""
        if job.taken_by is None:
            return
        took = self._took[job.taken_by]
        took.discard(job.attempt)
        taker = self._jobs.get(job.taken_by)
        if taker is not None and not taker.warm_for_sure and not took:
            taker.warm = False
        job.taken_by = None

    def _gone(self, job: PooledJob, idle: float | None = None) -> None:
        job.stage = Stage.GONE
        self._live.pop(job.attempt, None)
        if idle is not None:
            job.idle = idle

    def _expire(self, now: float) -> None:
        for job in list(self._live.values()):
            if job.stage is Stage.FREE and now - job.free_since >= job.keep_seconds:
                self._gone(job, job.keep_seconds)
            elif job.stage is Stage.ENDING and job.over_since is not None and now - job.over_since > SETTLING:
                self._gone(job)  # nobody speaks of its pool
