"""The pictures of docs/pictures/: the real screens of `expctl` in a terminal of tmux, and the page that compare writes.

    python scripts/pictures.py [WORKING_FOLDER]

Needs tmux, a Chromium (tests/report/chromium.sh) and the extra `test`. Trains eight small runs: seven minutes on two
cores; again in the same folder it trains nothing, and the pictures of trainings are left as they are.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent.parent
PICTURES = HERE / "docs" / "pictures"
SWEEP = "expctl -m algorithm=grpo,gfpo seed=0,1,2 args.max_steps=30"
PAGE = """<style>body {{margin: 0}} pre {{margin: 0; padding: 12px 16px; display: inline-block; background: #fff;
color: #1a1a1a; font: 14px/1.35 "DejaVu Sans Mono", monospace}}</style><pre>{code}</pre>"""


class Terminal:
    """A shell in a terminal of a fixed size."""

    def __init__(self, folder: Path, width: int = 100, height: int = 200):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._tmux(
            "new-session",
            "-d",
            "-x",
            str(width),
            "-y",
            str(height),
            "-c",
            str(folder),
            "-e",
            f"PATH={path}",
            "bash --noprofile --norc",
        )
        self.width = width
        self.type("PS1='$ '")

    def _tmux(self, *words: str) -> str:
        return subprocess.run(["tmux", "-L", "pictures", *words], check=True, capture_output=True, text=True).stdout

    def type(self, command: str) -> None:
        self._tmux("send-keys", "clear", "Enter")
        time.sleep(0.5)
        self._tmux("send-keys", "-l", command)
        self._tmux("send-keys", "Enter")

    def press(self, key: str) -> None:
        self._tmux("send-keys", key)

    def wait(self, pattern: str | None = None, seconds: float = 900) -> str | None:
        """The screen with its colours, once it has what is looked for; None if the command ended before. Without a
        pattern, the screen at the command's end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.2)
            seen = self._tmux("capture-pane", "-p").rstrip()
            ended = seen.endswith("\n$")
            if ended and pattern:
                return None
            if ended or (pattern and re.search(pattern, seen)):
                return self._tmux("capture-pane", "-e", "-p")
        raise TimeoutError(f"{pattern} not seen:\n{seen}")

    def close(self) -> None:
        self._tmux("kill-server")


def draw(browser: Browser, screen: str, name: str, width: int, lines: int | None = None) -> None:
    """A captured screen, without its empty end, as a picture; `lines`: only so many from the top."""
    kept = screen.rstrip().splitlines()
    kept = kept[:-1] if kept[-1].strip() == "$" else kept
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi("\n".join(kept[:lines])), soft_wrap=True)
    page = browser.new_page(device_scale_factor=1.5, viewport={"width": 1400, "height": 900})
    page.set_content(console.export_html(inline_styles=True, code_format=PAGE))
    save(page.locator("pre").screenshot(), name)
    page.close()


def save(png: bytes, name: str) -> None:
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    image.save(PICTURES / f"{name}.png", optimize=True)
    print(f"{name}.png  {(PICTURES / f'{name}.png').stat().st_size / 1000:.0f} kB  {image.size}")


def main(folder: Path) -> None:
    terminal = Terminal(folder)
    with sync_playwright() as playwright:
        chromium = subprocess.check_output(["bash", str(HERE / "tests/report/chromium.sh")], text=True).strip()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def picture(name: str, pattern: str | None = None, lines: int | None = None) -> None:
            if screen := terminal.wait(pattern):
                draw(browser, screen, name, terminal.width, lines)

        try:
            if not (folder / "outputs").exists():
                terminal.type("expctl")
                picture("training", r"step (3[6-9]|4\d)/60")
                terminal.wait()
                terminal.type("expctl algorithm=sft args.max_steps=400")
                terminal.wait(r"step [12]\d\d/400")
                terminal.press("C-c")
                terminal.wait()
            terminal.type(SWEEP)
            picture("sweep", r"[1-4] of 6 completed(.*\n)+.* [12]\d/30 .*\n.* \d+/30 ")
            terminal.wait()
            for name, command, lines in (
                ("refusal", "expctl algorithm=gfpo args.learning_rat=1e-5", None),
                ("ls", "expctl ls", None),
                ("show", "expctl show gfpo-tiny-arithmetic-s1", 32),
                ("verdicts", "expctl compare --html report.html", 40),
            ):
                terminal.type(command)
                picture(name, lines=lines)
            page = browser.new_page(viewport={"width": 1280, "height": 1560})
            page.goto((folder / "report.html").as_uri())
            save(page.screenshot(), "report")
        finally:
            terminal.close()
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else Path(tempfile.mkdtemp()))
