"""What follows from other settings and the hardware, once an experiment is composed."""

from expctl.base.experiment import Experiment
from expctl.config.batches import with_batches
from expctl.config.sampled_rows import with_sampled_rows


def with_derived(experiment: Experiment) -> Experiment:
    """The experiment with the batch settings and the rows of a turn of sampling that follow.

    Raises:
        Refusal: as `with_batches` and `with_sampled_rows`.
    """
    return with_sampled_rows(with_batches(experiment))
