"""The page in a real browser: at phone and desk widths, light and dark, by pointer and by keyboard, with no network."""

import subprocess
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from report import compared
from report.compared import sampled

from expctl.report.files import write_files

AXE = Axe().axe_script
LONG = "word " * 300 + "w" * 400
SIZES = [(360, 740), (1280, 900)]


@pytest.fixture(scope="module")
def chromium():
    found = subprocess.run(
        ["bash", str(Path(__file__).with_name("chromium.sh"))], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    with sync_playwright() as playwright:
        # Root has no sandbox; what is opened is our own file.
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    samples = [sampled(0, LONG, "</pre><img src=x onerror=\"document.title='broken'\">"), sampled(40, LONG, LONG)]
    write_files(compared.two(folder / "outputs", samples=samples), None, folder / "report.html", "expctl compare")
    return folder / "report.html"


@pytest.fixture
def open_page(chromium, file):
    """A function that opens the page; at the end nothing may have gone wrong in the browser, or onto the network."""
    trouble, contexts = [], []

    def opened(width=1280, height=900, path=file, **more):
        context = chromium.new_context(viewport={"width": width, "height": height}, **more)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: trouble.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not trouble


@pytest.mark.parametrize("size", SIZES)
def test_the_page_never_scrolls_sideways_and_its_tables_do_by_themselves(open_page, size):
    page = open_page(*size)
    for details in page.locator("details").all():
        details.locator("summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    wide = page.evaluate("""[...document.querySelectorAll('.scrolls')].filter(
        one => one.scrollWidth > one.clientWidth).length""")
    assert wide > 0 or size[0] > 360
    smallest = page.evaluate("""Math.min(...[...document.querySelectorAll('.plot text')].map(
        one => parseFloat(getComputedStyle(one).fontSize) * Math.hypot(one.getScreenCTM().a, one.getScreenCTM().b)))""")
    assert smallest >= 8.5


@pytest.mark.parametrize(("size", "scheme"), [(SIZES[0], "dark"), (SIZES[1], "light")])
def test_axe_finds_nothing_that_keeps_a_reader_out(open_page, size, scheme):
    """axe-core's rules, contrast of text and names for screen readers among them."""
    page = open_page(*size, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.evaluate(AXE)
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    assert not [(one["id"], one["nodes"][0]["html"][:200]) for one in found]


def test_light_and_dark_are_the_readers_wish(open_page):
    paper = {
        scheme: open_page(color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 27)"}
    lines = "getComputedStyle(document.querySelector('.plot path[style*=\"--group-0\"]')).stroke"
    assert open_page(color_scheme="dark").evaluate(lines) == "rgb(255, 255, 255)"


def test_pointing_at_a_curve_shows_the_values_of_that_step(open_page):
    page = open_page()
    plot = page.locator("#plot0")
    tip = plot.locator(".tip")
    assert tip.is_hidden()
    box = plot.bounding_box()
    plot.hover(position={"x": box["width"] * 0.98, "y": box["height"] / 2})
    said = tip.inner_text().splitlines()
    assert said[0] == "step 40"
    assert said[1].startswith("algorithm=grpo: 0.93") and said[1].endswith("3 runs)")
    assert said[2].startswith("algorithm=gfpo: 0.9")
    page.mouse.move(1, 1)
    assert tip.is_hidden()


def test_pointing_at_a_run_shows_which_it_is_and_the_mark_lies_on_it(open_page):
    page = open_page()
    plot = page.locator("#plot3")
    stop = page.evaluate("""() => { const plot = JSON.parse(document.getElementById('values').textContent)[3];
        const [x, y, lines] = plot.stops[1]; return [x / plot.width, y / plot.height, lines]; }""")
    box = plot.bounding_box()
    plot.hover(position={"x": stop[0] * box["width"], "y": stop[1] * box["height"]})
    assert plot.locator(".tip").inner_text().splitlines() == stop[2] and stop[2][1].startswith("seed 1: 0.9")
    mark = plot.locator(".guide.spot").bounding_box()
    box = plot.bounding_box()
    assert mark["x"] + mark["width"] / 2 == pytest.approx(box["x"] + stop[0] * box["width"], abs=1)
    assert mark["y"] + mark["height"] / 2 == pytest.approx(box["y"] + stop[1] * box["height"], abs=1)


def test_no_place_is_hidden_by_what_is_said_of_it(open_page):
    page = open_page(*SIZES[0])
    for plot in (page.locator("#plot2"), page.locator("#plot3")):
        plot.focus()
        for _ in range(int(plot.get_attribute("aria-valuemax"))):
            page.keyboard.press("ArrowRight")
            # Both at once: the page may still be scrolling.
            mark, tip = plot.evaluate("""plot => [".guide.spot", ".tip"].map(name => {
                const { top, bottom } = plot.querySelector(name).getBoundingClientRect();
                return { top, bottom }; })""")
            assert not tip["top"] <= (mark["top"] + mark["bottom"]) / 2 <= tip["bottom"]


def test_a_keyboard_reaches_everything_in_the_order_in_which_one_reads(open_page):
    page = open_page()
    reached = []
    for _ in range(200):
        page.keyboard.press("Tab")
        where = page.evaluate("""() => { const one = document.activeElement;
            if (one === document.body) return null;
            one.dataset.place ??= [...document.querySelectorAll('*')].indexOf(one);
            const { outlineStyle, outlineWidth } = getComputedStyle(one);
            return [Number(one.dataset.place), outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2]; }""")
        if where is None or where in reached:
            break
        reached.append(where)
    places = [place for place, _ in reached]
    assert places == sorted(places) and all(visible for _, visible in reached)
    wanted = page.evaluate("document.querySelectorAll('a, summary, .plot, .scrolls').length")
    folded = page.evaluate("document.querySelectorAll('details .scrolls').length")
    assert len(places) == wanted - folded
    first = open_page()
    first.keyboard.press("Tab")
    first.keyboard.press("Enter")
    assert first.evaluate("location.hash") == "#verdict"


def test_arrow_keys_step_through_a_plot_and_a_screen_reader_hears_the_values(open_page):
    page = open_page()
    plot = page.get_by_role("slider", name="Reward in training")
    plot.focus()
    for key, step in (
        ("Home", 1),
        ("ArrowRight", 2),
        ("ArrowRight", 3),
        ("ArrowLeft", 2),
        ("PageUp", 6),
        ("End", 40),
        ("ArrowRight", 40),
    ):
        page.keyboard.press(key)
        said = plot.get_attribute("aria-valuetext")
        assert said.startswith(f"step {step}; algorithm=grpo: 0.")
        assert plot.get_attribute("aria-valuenow") == str(step)
        assert "; ".join(plot.locator(".tip").inner_text().splitlines()) == said
    page.keyboard.press("Escape")
    assert plot.locator(".tip").is_hidden()


def test_a_screen_reader_finds_sections_tables_and_headings_by_name(open_page):
    page = open_page()
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    assert page.get_by_role("navigation", name="Sections").count() == 1
    for name in ("Verdict", "Numbers", "Plots", "Completions side by side", "Configs", "Provenance", "Commands"):
        assert page.get_by_role("region", name=name, exact=True).count() == 1
        assert page.get_by_role("heading", name=name, exact=True, level=2).count() == 1
    assert page.get_by_role("table", name="reward, higher is better").count() == 1
    assert page.get_by_role("rowheader", name="algorithm=gfpo").count() >= 3


def test_without_javascript_the_pictures_and_their_values_are_there(open_page):
    page = open_page(java_script_enabled=False)
    assert page.get_by_role("img", name="Reward in training").bounding_box()["height"] > 150
    page.get_by_text("Values as a table").first.click()
    assert page.get_by_role("rowheader", name="step 40").first.is_visible()
    assert page.get_by_text("Point at a plot").is_hidden()


def test_completions_are_shown_as_what_they_are(open_page):
    page = open_page()
    assert page.get_by_text("</pre><img src=x onerror=").count() == 2
    assert page.title().startswith("algorithm: grpo, gfpo")


def test_a_page_without_anything_drawn_works(open_page, tmp_path):
    from compare import synthetic

    from expctl.compare.conclusion import compare_runs

    path = tmp_path / "report.html"
    folder = synthetic.run(tmp_path / "outputs", 0, {}, summary={"seconds": {}}, train={"loss": 1.0})
    write_files(compare_runs([folder], asked=["train.loss"]), None, path, "expctl compare")
    page = open_page(path=path)
    assert page.get_by_role("heading", level=1).inner_text()


def test_a_printed_page_has_all_tables_and_no_controls(open_page):
    page = open_page()
    page.emulate_media(media="print")
    assert page.get_by_role("navigation").count() == 0
    assert page.evaluate("getComputedStyle(document.querySelector('.scrolls')).overflowX") == "visible"
