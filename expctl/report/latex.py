"""A comparison as a table of LaTeX, for a paper: a line a group, a column a metric."""

from expctl.compare.comparison import BETTER, WORSE, Comparison, Metric
from expctl.compare.verdict import number

ESCAPED = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
ARROWS = {"higher": r" $\uparrow$", "lower": r" $\downarrow$"}
MARKS = {BETTER: "^{+}", WORSE: "^{-}"}


def latex(comparison: Comparison) -> str:
    """The table: mean plus or minus half of its interval, marked where the verdict is better or worse."""
    metrics = comparison.metrics
    titles = [f"{escaped(metric.title)}{ARROWS.get(metric.better or '', '')}" for metric in metrics]
    lines = [
        f"% {escaped(comparison.question)}",
        f"% needs \\usepackage{{booktabs}}; intervals of {100 * comparison.level:g} %, over seeds",
        f"% + and -: better and worse than {escaped(comparison.baseline)} by the test of expctl compare",
        f"\\begin{{tabular}}{{lr{'r' * len(metrics)}}}",
        "\\toprule",
        " & ".join(["", "runs", *titles]) + r" \\",
        "\\midrule",
    ]
    for group in comparison.groups:
        cells = [_cell(metric, group.label) for metric in metrics]
        lines.append(" & ".join([escaped(group.label), str(len(group.runs)), *cells]) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def escaped(text: str) -> str:
    """A text with the marks that LaTeX would obey made ordinary ones."""
    return "".join(ESCAPED.get(character, character) for character in " ".join(text.split()))


def _cell(metric: Metric, label: str) -> str:
    mean = next((summary.mean for summary in metric.groups if summary.group == label), None)
    if mean is None:
        return "--"
    verdicts = [each.verdict.word for each in metric.differences if each.group == label and each.verdict]
    mark = MARKS.get(verdicts[0], "") if verdicts else ""
    half = "" if mean.interval is None else rf" \pm {number((mean.interval[1] - mean.interval[0]) / 2, mean)}"
    return f"${number(mean.value, mean)}{half}{mark}$"
