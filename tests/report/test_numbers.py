"""The page's numbers: each with its interval, and an excess as a share or in words."""

from report import compared

from expctl.compare.conclusion import compare_runs
from expctl.compare.verdict import number
from expctl.report.page.numbers import metrics, verdict


def test_every_number_of_a_table_stands_with_its_interval(tmp_path):
    comparison = compared.two(tmp_path / "outputs", seeds=8)
    said = metrics(comparison)
    metric = comparison.metric("eval_completions/mean_length")
    (difference,), middle = metric.differences, metric.groups[1].iqm
    low, high = (number(value, middle) for value in (middle.low, middle.high))
    assert f"<td>{number(middle.value, middle)} [{low}, {high}]</td>" in said and "middle half (95 %)" in said
    share = difference.improvement
    assert f"<td>{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]</td>" in said and "P(higher) (95 %)" in said


def test_an_excess_is_on_the_page_as_a_share_or_in_words(tmp_path):
    def made(outputs, grows):
        return [
            compared.make(outputs, seed, name, compared.logged(seed, 0.08, shrink))
            for name, shrink in (("grpo", -grows), ("gfpo", -0.4 * grows))
            for seed in range(3)
        ]

    longer = compare_runs(made(tmp_path / "longer", 30.0), excess=["completion length"])
    share = longer.metric("eval_completions/mean_length").differences[0].excess.share
    ends = f"{100 * share.low:.0f}, {100 * share.high:.0f}"
    assert f"<td>{100 * share.value:.0f} % [{ends}]</td>" in metrics(longer) and "took away" in verdict(longer)
    shorter = compare_runs(made(tmp_path / "shorter", -30.0), excess=["completion length"])
    assert "algorithm=grpo added nothing: 4" in verdict(shorter) and "excess taken away" not in metrics(shorter)
