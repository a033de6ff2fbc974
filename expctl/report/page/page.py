"""One page that says everything about a comparison and asks the network for nothing."""

from collections.abc import Sequence
from importlib.resources import files

from expctl.compare.comparison import Comparison
from expctl.compare.groups import Grouped
from expctl.report.page.markup import Markup, escaped, joined, tag
from expctl.report.page.numbers import metrics, verdict
from expctl.report.page.origins import commands, configs, provenance
from expctl.report.page.plots import plots
from expctl.report.page.samples import samples
from expctl.report.plots.picture import Picture

# Nothing is fetched or sent, whatever the page might be made to say.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
TITLES = {
    "verdict": "Verdict",
    "metrics": "Numbers",
    "plots": "Plots",
    "samples": "Completions",
    "configs": "Configs",
    "provenance": "Provenance",
    "commands": "Commands",
}


def page(comparison: Comparison, groups: Sequence[Grouped], pictures: Sequence[Picture], command: str) -> str:
    """The page as text.

    Args:
        groups: those of the comparison with their runs as read.
        pictures: what is drawn on it.
        command: what was typed for it.
    """
    drawn, values = plots(pictures)
    sections = {
        "verdict": verdict(comparison),
        "metrics": metrics(comparison),
        "plots": drawn,
        "samples": samples(groups),
        "configs": configs(groups),
        "provenance": provenance(groups),
        "commands": commands(comparison, groups, command),
    }
    present = {name: content for name, content in sections.items() if content}
    links = [tag("li", tag("a", TITLES[name], href=f"#{name}")) for name in present]
    navigation = tag("nav", tag("ul", *links), aria_label="Sections")
    header = tag("header", tag("p", "expctl compare", class_="note"), tag("h1", comparison.question), navigation)
    skip = tag("a", "To the verdict", href="#verdict", class_="skip")
    script = Markup(f"<script>{_file('page.js')}</script>")
    body = tag("body", skip, header, tag("main", *present.values()), values, script)
    return document(f"{comparison.question} - expctl compare", body)


def document(title: str, body: Markup) -> str:
    """A page of this title, complete in itself."""
    return f"<!doctype html>\n{tag('html', _head(title), body, lang='en')}\n"


def _head(title: str) -> Markup:
    metas = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
    ]
    named = Markup(f"<title>{escaped(title)}</title>")
    return tag("head", joined(metas), named, Markup(f"<style>{_file('page.css')}</style>"))


def _file(name: str) -> str:
    return files("expctl.report.page").joinpath(name).read_text(encoding="utf-8")
