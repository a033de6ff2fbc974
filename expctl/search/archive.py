"""`force=true` with a search: journal and ledger of the earlier one are archived, as runs are."""

from expctl.base.paths import REPLACED, first_free
from expctl.base.refusal import Refusal
from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.runs.ledger import cells_of
from expctl.runs.manifest import CREATED, RUNNING
from expctl.search.question import Question


def archive(question: Question) -> None:
    """Move journal and ledger of a question to `outputs/replaced/`, under the first free number.

    Raises:
        Refusal: a trial of it is running.
    """
    files = [question.outputs / "sweeps" / f"{question.name}{kind}" for kind in (".journal", ".json")]
    for cell in cells_of(files[1]):
        recorded = manifest.read(Run(question.outputs / cell.run_id))
        if recorded and recorded.status in (RUNNING, CREATED):
            raise Refusal(
                f"this search is running already: {' '.join(cell.words)}",
                where="force=true (command line)",
                do="stop it first; without force=true this command takes part in it",
            )
    replaced = question.outputs / REPLACED
    number = first_free(replaced, question.name, [file.suffix for file in files])
    for file in files:
        if file.exists():
            replaced.mkdir(exist_ok=True)
            file.rename(replaced / f"{question.name}-{number}{file.suffix}")
