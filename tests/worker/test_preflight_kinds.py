"""The columns that trainers of a kind of data read have to be there."""

import pytest

from expctl.worker.preflight.data import check_kind
from expctl.worker.preflight.problem import ProblemError

READ = {
    "prompt-only": ["prompt"],
    "prompt-completion": [],
    "preference": ["chosen", "rejected"],
    "unpaired-preference": ["completion", "label"],
    "stepwise": ["prompt", "completions", "labels"],
    "messages": ["messages"],
    "text": ["text"],
}


@pytest.mark.parametrize(("kind", "columns"), READ.items())
def test_data_without_a_column_of_their_kind_are_refused(kind, columns):
    check_kind([*columns, "others"], kind)
    for missing in columns:
        with pytest.raises(ProblemError, match=f"no column '{missing}'"):
            check_kind([name for name in columns if name != missing], kind)
