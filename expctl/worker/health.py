"""Alerts of a training that learns nothing, given while it runs: in `run.json` and in the progress display."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.runs import manifest
from expctl.runs.files import Run, read_metrics
from expctl.runs.progress import Progress
from expctl.runs.records import Alert
from expctl.worker.record import is_evaluation, is_step, numbers_in
from expctl.worker.symptoms import Row, Symptom, symptoms


class HealthMonitor(TrainerCallback):
    """Gives an alert where a symptom lasts; on rank 0, from the rows that are logged and nothing else."""

    def __init__(self, run: Run, progress: Progress):
        self._run = run
        self._progress = progress
        self._tracker: SymptomTracker | None = None
        self._leaks: list[Alert] = []

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        self._tracker = SymptomTracker(args)
        self._leaks = manifest.recorded(self._run).leaks  # see `expctl.worker.leak`
        # The rows of an earlier attempt up to its checkpoint count as if there had been no interruption.
        for row in read_metrics(self._run.metrics):
            self._tracker.observe(row)
        self._write()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if self._tracker is None or not logs or not is_step(logs):
            return
        if self._tracker.observe({"step": state.global_step} | numbers_in(logs)):
            self._write()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._write()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._tracker is not None and state.global_step >= state.max_steps:
            self._tracker.end()
        self._write()

    def _write(self) -> None:
        if self._tracker is not None:
            alerts = [*self._leaks, *self._tracker.alerts]
            manifest.note_alerts(self._run, alerts)
            self._progress.alert(alerts)


class SymptomTracker:
    """Follows which symptoms the rows of one training show, from its first row on."""

    def __init__(self, args: Any):
        self._args = args
        self._streaks = [Streak(symptom) for symptom in symptoms(args)]

    @property
    def alerts(self) -> list[Alert]:
        """The alerts given so far, in the order in which their symptoms began."""
        alerts = [streak.alert for streak in self._streaks if streak.alert]
        return sorted(alerts, key=lambda alert: alert.step or 0)

    def observe(self, row: Row) -> bool:
        """Take a row of the metrics.

        Returns:
            Whether it gives an alert for the first time.
        """
        if is_evaluation(row) or type(row.get("step")) is not int:
            return False
        before = len(self.alerts)
        for streak in self._streaks:
            streak.observe(row, self._args)
        return len(self.alerts) > before

    def end(self) -> None:
        """Training is over: give an alert of a symptom at every step of a short training, although that is few."""
        for streak in self._streaks:
            if streak.is_whole:
                streak.update_alert(self._args, 0)


class Streak:
    """The rows in a row that show a symptom, and the alert given of them."""

    def __init__(self, symptom: Symptom):
        self._symptom = symptom
        self.alert: Alert | None = None
        self._last_row: Row = {}
        self._last_step, self._first_step = 0, 0  # the last step observed, and the first of the streak
        self._rows, self._steps, self._groups = 0, 0, 0
        self._was_absent = False

    @property
    def is_whole(self) -> bool:
        """Whether the symptom was present from the first step to the last, and in more than one row."""
        return self._rows > 1 and self._steps == self._last_step

    def observe(self, row: Row, args: Any) -> None:
        """Take a row of the metrics, and give an alert where the streak is long enough."""
        is_present = self._symptom.is_present(row)
        if is_present is None or row["step"] <= self._last_step:
            return
        # A row stands for the steps since the one before: most of its numbers are means over them.
        steps = row["step"] - self._last_step
        self._last_step = row["step"]
        if not is_present:
            self._rows, self._steps, self._groups = 0, 0, 0
            self._was_absent = True
            return
        if not self._rows:
            self._first_step = row["step"] - steps + 1
        self._last_row, self._rows, self._steps = row, self._rows + 1, self._steps + steps
        self._groups += groups_in(args, steps)
        if self._is_long_enough():
            self.update_alert(args, steps)

    def _is_long_enough(self) -> bool:
        """Whether chance is excluded. A symptom that was absent before has to last longer: the task may be learned."""
        needed, times = self._symptom, self._symptom.later if self._was_absent else 1
        enough_rows = self._rows >= times * needed.rows and self._steps >= times * needed.steps
        return enough_rows and self._groups >= times * needed.groups

    def update_alert(self, args: Any, steps: int) -> None:
        """Give the alert, or add the last `steps` steps to the one given before."""
        text, do = self._symptom.describe(self._last_row | {"since": self._first_step}, args)
        first, last, steps_before = self._first_step, 0, 0
        if self.alert:
            first, last, steps_before = self.alert.step or 0, self.alert.last_step or 0, self.alert.steps or 0
        began_again = self._first_step > last
        self.alert = Alert(
            kind=self._symptom.kind,
            step=first,
            last_step=self._last_row["step"],
            steps=steps_before + (self._steps if began_again else steps),
            text=text,
            do=do,
        )


def groups_in(args: Any, steps: int) -> int:
    """Groups that are sampled in so many optimizer steps; 0 for a training that samples none."""
    generations = getattr(args, "num_generations", None)
    batch = getattr(args, "generation_batch_size", None)
    if not generations or not batch:
        return 0
    # GOLD's and IW-OPD's arguments have groups, and a rollout a step.
    reuse = getattr(args, "steps_per_generation", 1) * getattr(args, "num_iterations", 1)
    steps_per_batch = max(1.0, reuse / args.gradient_accumulation_steps)
    return int(batch // generations * max(1.0, steps / steps_per_batch))
