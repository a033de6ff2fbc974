"""What an experiment asks of its batches: its step, what was typed beside that, and which cut of it answers both."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.base.words import counted
from expctl.config.batch_losses import weighed_by_micro_batch
from expctl.config.kept import largest_kept
from expctl.config.micro_batches import MicroBatches, Step, nearest_numbers
from expctl.config.source.defaults import FieldValues

PER_DEVICE, ACCUMULATION = "per_device_train_batch_size", "gradient_accumulation_steps"
PER_GENERATION, GENERATION_BATCH = "steps_per_generation", "generation_batch_size"
# The fields of `args` that follow from a step.
DERIVED = (PER_DEVICE, ACCUMULATION, PER_GENERATION)
PROMPTS, ROWS, COMPLETIONS = "prompts_per_step", "hardware.rows", "num_generations"
# In place of a number of rows: what the memory of a device holds.
AUTO = "auto"


@dataclass(frozen=True)
class BatchRequest:
    """The step of an experiment with `prompts_per_step`.

    Args:
        experiment: the experiment, composed.
        step: what its step has.
        values: its `args` with their defaults.
        typed: field of `args` -> the number that was typed for it, of those that decide the cut.
    """

    experiment: Experiment
    step: Step
    values: FieldValues
    typed: dict[str, int]

    @classmethod
    def of(cls, experiment: Experiment, prompts: int) -> Self | None:
        """The request of an experiment; None where a number that it is made of is none, which a check refuses."""
        args, hardware = mapping(experiment.config.get("args")), mapping(experiment.config.get("hardware"))
        values = FieldValues(args, experiment.code_folders)
        samples = COMPLETIONS in values and values[COMPLETIONS] != 1
        completions = values[COMPLETIONS] if samples else 1
        accumulation = values[ACCUMULATION] or 1
        counts = [hardware.get("num_processes"), hardware.get("num_machines"), completions, accumulation]
        counts += [values[name] for name in (PER_DEVICE, PER_GENERATION, GENERATION_BATCH) if values[name] is not None]
        if not args or not all(map(is_count, counts)) or (samples and completions < 2):
            return None
        typed = {name: values[name] for name in DERIVED if _is_typed(experiment, name) and values[name] is not None}
        step = Step(
            prompts,
            completions,
            largest_kept(experiment, values, completions),
            hardware["num_processes"] * hardware["num_machines"],
            _updates(values, accumulation, prompts * completions),
            typed.get(PER_GENERATION),
        )
        return cls(experiment, step, values, typed)

    @property
    def typed_rows(self) -> int | None:
        """Rows of a step as typed settings say it; None where they do not say it all."""
        if not {PER_DEVICE, ACCUMULATION} <= self.typed.keys():
            return None
        return self.typed[PER_DEVICE] * self.typed[ACCUMULATION] * self.step.world

    def is_void(self) -> bool:
        """Whether typed settings say another step than the `prompts_per_step` of a file, which gives way to them."""
        return self.typed_rows not in (None, self.step.total) and PROMPTS not in self.experiment.sources

    def cuts(self) -> list[MicroBatches]:
        """The cuts that agree with what was typed, the fewest micro-batches first.

        Raises:
            Refusal: there are none.
        """
        cuts = self.step.cuts()
        if not cuts:
            raise self._indivisible()
        agreeing = [cut for cut in cuts if self._agrees(cut)]
        if not agreeing:
            raise self._contradiction(cuts)
        return agreeing

    def chosen(self, cuts: list[MicroBatches], rows: int | None) -> MicroBatches:
        """The cut of `rows` rows for the update, else the largest within the rows of the model's file.

        Raises:
            Refusal: no cut has so many rows.
        """
        if rows is None:
            limit = max(self.values[PER_DEVICE] or 1, cuts[-1].kept)
            return next(cut for cut in cuts if cut.kept <= limit)
        exact = [cut for cut in cuts if cut.kept == rows and rows * cut.accumulation == self.step.needed]
        if not exact:
            raise self._no_such_rows(cuts, rows)
        return exact[0]

    def fields(self, cut: MicroBatches) -> dict[str, int]:
        """Field of `args` -> its value for a cut, where that is not its default anyway."""
        fields = {PER_DEVICE: cut.rows, ACCUMULATION: cut.accumulation}
        is_fixed = self.values[GENERATION_BATCH] is not None or COMPLETIONS not in self.values
        # TRL's default is one optimizer step on a generation batch.
        if not is_fixed and (self.values[PER_GENERATION] is not None or cut.per_generation != cut.accumulation):
            fields[PER_GENERATION] = cut.per_generation
        return fields

    def notes(self, cut: MicroBatches) -> list[str]:
        """Under which settings the same step on other hardware is not quite the same."""
        if cut.accumulation * self.step.world == 1:
            return []
        return [
            f"{setting} is computed over each micro-batch, so {PROMPTS}={self.step.prompts} on other hardware or with "
            "other rows a device weighs tokens otherwise"
            for setting in weighed_by_micro_batch(self.values)
        ]

    def described(self, cut: MicroBatches) -> str:
        """Where the fields of a cut come from, in one line."""
        micro_batches = counted(cut.accumulation, "micro-batch", "micro-batches")
        return f"{self._kept_described()}: {micro_batches} of {counted(cut.kept, 'row')} for the update"

    def _kept_described(self) -> str:
        """`prompts_per_step=8 x 4 kept of 16 completions on 2 processes`: what the update sees."""
        kept = f"{self.step.kept} kept of " if self.step.kept < self.step.completions else ""
        return self._sampled_described(kept)

    def _sampled_described(self, kept: str = "") -> str:
        """`prompts_per_step=8 x 16 completions on 2 processes`: what a step begins with."""
        step, world = self.step, counted(self.step.world, "process", "processes")
        completions = f" x {kept}{step.completions} completions" if COMPLETIONS in self.values else ""
        return f"{PROMPTS}={step.prompts}{completions} on {world}"

    def _agrees(self, cut: MicroBatches) -> bool:
        made = {PER_DEVICE: cut.rows, ACCUMULATION: cut.accumulation, PER_GENERATION: cut.per_generation}
        return all(made[name] == value for name, value in self.typed.items())

    # Refusals

    def _indivisible(self) -> Refusal:
        step = self.step
        if step.total % step.world:
            what = f"{self._sampled_described()}: {step.total} rows do not divide by {step.world}"
            do = f"{PROMPTS}=" + " or ".join(map(str, step.prompts_that_divide()))
            return Refusal(what, where=self._where(PROMPTS, "hardware.num_processes"), do=do)
        keys = [f"args.{name}" for name in (PER_GENERATION, GENERATION_BATCH) if self.values[name] is not None]
        do = f"args.{PER_GENERATION}=null: one optimizer step on a batch of completions"
        if self.values[GENERATION_BATCH] is not None:
            do = f"args.{GENERATION_BATCH}={step.total} or a multiple of it, or null"
        what = f"{self._sampled_described()}: no batch of completions has whole steps"
        return Refusal(what, where=self._where(PROMPTS, *keys), do=do)

    def _contradiction(self, cuts: list[MicroBatches]) -> Refusal:
        """What was typed against what divides."""
        step, typed = self.step, self.typed
        where = self._where(PROMPTS, *(f"args.{name}" for name in typed))
        if {PER_DEVICE, ACCUMULATION} <= typed.keys():
            made = f"{counted(typed[PER_DEVICE], 'row')} a device x {typed[ACCUMULATION]} x "
            made += f"{counted(step.world, 'process', 'processes')} = {self.typed_rows}"
            what = f"{self._sampled_described()} has {counted(step.total, 'row')}, and {made}"
            return Refusal(what, where=where, do="leave one of them out: it follows from the others")
        name = next(iter(typed))
        made_of = {PER_DEVICE: [cut.rows for cut in cuts], ACCUMULATION: [cut.accumulation for cut in cuts]}
        near = nearest_numbers(typed[name], made_of.get(name, [cut.per_generation for cut in cuts]))
        what = f"args.{name}={typed[name]} does not divide the {counted(step.rows, 'row')} a process of "
        do = f"args.{name}={' or '.join(map(str, near))}, or leave it out"
        return Refusal(what + self._sampled_described(), where=where, do=do)

    def _no_such_rows(self, cuts: list[MicroBatches], rows: int) -> Refusal:
        step = self.step
        known = {cut.kept for cut in cuts if cut.kept * cut.accumulation == step.needed} or {cut.kept for cut in cuts}
        verb = "is more than" if rows > step.needed else "does not divide"
        what = f"{ROWS}={rows} {verb} the {counted(step.needed, 'row')} a process of {self._kept_described()}"
        near = " or ".join(map(str, nearest_numbers(rows, known)))
        where = self._where(ROWS, PROMPTS, *(f"args.{name}" for name in self.typed))
        return Refusal(what, where=where, do=f"{ROWS}={near}")

    def _where(self, *keys: str) -> str:
        return self.experiment.set_by(*keys)


def is_count(value: Any) -> bool:
    """Whether a value is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def check_rows(experiment: Experiment, key: str, rows: Any, otherwise: str) -> None:
    """Refuse a value of a key that takes a number of rows or `auto`.

    `otherwise`: what null does there, a predicate.
    """
    if rows in (None, AUTO) or is_count(rows):
        return
    what = f"{key} is {rows!r}; it is a whole number of rows, at least 1, or {AUTO}"
    raise Refusal(what, where=experiment.set_by(key), do=f"{key}=null {otherwise}")


def _is_typed(experiment: Experiment, name: str) -> bool:
    """Whether a word set a field of `args`, or an experiment's file did where no word says the prompts of a step."""
    if f"args.{name}" in experiment.sources or name in experiment.sources.get("args", ""):
        return True
    return PROMPTS not in experiment.sources and "experiment/" in experiment.locations.get(f"args.{name}", "")


def _updates(values: FieldValues, accumulation: int, rows: int) -> Fraction:
    """Optimizer steps on one generation batch, as the settings of files have it."""
    if values[GENERATION_BATCH] is not None:
        return Fraction(values[GENERATION_BATCH], rows)
    return Fraction(values[PER_GENERATION] or accumulation, accumulation)
