"""A training that learns nothing says so while it runs: in `run.json`, and to whoever watches."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.runs import manifest
from expctl.runs.files import Run, read_metrics
from expctl.runs.progress import Progress
from expctl.runs.records import Alert
from expctl.worker.record import is_evaluation, is_step, numbers_of
from expctl.worker.symptoms import Row, Symptom, symptoms


class Health(TrainerCallback):
    """Gives an alert where a symptom does not go away; on rank 0, from the rows that are logged and nothing else."""

    def __init__(self, run: Run, progress: Progress):
        self._run = run
        self._progress = progress
        self._watch: Watch | None = None
        self._leaks: list[Alert] = []

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        self._watch = Watch(args)
        self._leaks = manifest.recorded(self._run).leaks
        # What an earlier attempt has logged before its checkpoint: as if there had been no break.
        for row in read_metrics(self._run.metrics):
            self._watch.see(row)
        self._write()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict | None = None, **_: Any
    ) -> None:
        if self._watch is None or not is_step(logs):
            return
        if self._watch.see({"step": state.global_step} | numbers_of(logs)):
            self._write()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._write()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._watch is not None and state.global_step >= state.max_steps:
            self._watch.end()
        self._write()

    def _write(self) -> None:
        if self._watch is not None:
            alerts = [*self._leaks, *self._watch.alerts]
            manifest.note_alerts(self._run, alerts)
            self._progress.alert(alerts)


class Watch:
    """Which symptoms the rows of one training show, from its first row on."""

    def __init__(self, args: Any):
        self._args = args
        self._streaks = [Streak(symptom) for symptom in symptoms(args)]

    @property
    def alerts(self) -> list[Alert]:
        """In the order in which they began."""
        alerts = [streak.alert for streak in self._streaks if streak.alert]
        return sorted(alerts, key=lambda alert: alert.step or 0)

    def see(self, row: Row) -> bool:
        """Take a row of the metrics; whether it gives an alert for the first time."""
        if is_evaluation(row) or type(row.get("step")) is not int:
            return False
        before = len(self.alerts)
        for streak in self._streaks:
            streak.see(row, self._args)
        return len(self.alerts) > before

    def end(self) -> None:
        """Training is over: what was seen at every step of a short one is said although more would be surer."""
        for streak in self._streaks:
            if streak.is_whole:
                streak.give(self._args, 0)


class Streak:
    """How long a symptom has been seen without a break, and the alert that came of it."""

    def __init__(self, symptom: Symptom):
        self._symptom = symptom
        self.alert: Alert | None = None
        self._last: Row = {}
        self._judged, self._first = 0, 0  # the last step that was judged, and the first of the streak
        self._rows, self._steps, self._groups = 0, 0, 0
        self._was_absent = False

    @property
    def is_whole(self) -> bool:
        """Whether the symptom was seen from the first step to the last, and more than once."""
        return self._rows > 1 and self._steps == self._judged

    def see(self, row: Row, args: Any) -> None:
        seen = self._symptom.seen(row)
        if seen is None or row["step"] <= self._judged:
            return
        # A row stands for the steps since the one before: most of its numbers are means over them.
        lasted = row["step"] - self._judged
        self._judged = row["step"]
        if not seen:
            self._rows, self._steps, self._groups = 0, 0, 0
            self._was_absent = True
            return
        if not self._rows:
            self._first = row["step"] - lasted + 1
        self._last, self._rows, self._steps = row, self._rows + 1, self._steps + lasted
        self._groups += groups_in(args, lasted)
        if self._is_enough():
            self.give(args, lasted)

    def _is_enough(self) -> bool:
        """A training that was without the symptom before may show it by chance, as one that has learned its task."""
        needed, times = self._symptom, self._symptom.later if self._was_absent else 1
        enough_rows = self._rows >= times * needed.rows and self._steps >= times * needed.steps
        return enough_rows and self._groups >= times * needed.groups

    def give(self, args: Any, lasted: int) -> None:
        """The alert, or the one that was given before with the steps that came to it."""
        text, do = self._symptom.told(self._last | {"since": self._first}, args)
        first, last, steps = self._first, 0, 0
        if self.alert:
            first, last, steps = self.alert.step or 0, self.alert.last_step or 0, self.alert.steps or 0
        began_again = self._first > last
        self.alert = Alert(
            kind=self._symptom.kind,
            step=first,
            last_step=self._last["step"],
            steps=steps + (self._steps if began_again else lasted),
            text=text,
            do=do,
        )


def groups_in(args: Any, steps: int) -> int:
    """Groups that are sampled in so many optimizer steps; 0 for a training without any."""
    generations = getattr(args, "num_generations", None)
    batch = getattr(args, "generation_batch_size", None)
    if not generations or not batch:
        return 0
    steps_a_batch = max(1.0, args.steps_per_generation * args.num_iterations / args.gradient_accumulation_steps)
    return int(batch // generations * max(1.0, steps / steps_a_batch))
