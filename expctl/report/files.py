"""Files that a verb leaves: pictures, and the page."""

import tempfile
from pathlib import Path

from expctl.base.refusal import Refusal
from expctl.compare.comparison import Comparison
from expctl.runs.files import write_whole


def refuse_unwritable(plots: Path | None, page: Path | None) -> None:
    """Before anything is computed.

    Raises:
        Refusal: the folder or the file cannot be written.
    """
    if plots is not None:
        where = f"--plots {plots} (command line)"
        if plots.exists() and not plots.is_dir():
            raise Refusal(f"{plots} is a file; plots are several files", where=where, do="name a folder")
        above = next(folder for folder in (plots.absolute(), *plots.absolute().parents) if folder.exists())
        _refuse_closed(above, where)
    if page is not None:
        where = f"--html {page} (command line)"
        if page.is_dir():
            raise Refusal(f"{page} is a folder", where=where, do=f"name a file: {page / 'report.html'}")
        if not page.absolute().parent.is_dir():
            raise Refusal(f"there is no folder {page.absolute().parent}", where=where, do="make it, or name another")
        _refuse_closed(page.absolute().parent, where)


def _refuse_closed(folder: Path, where: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        what = f"{folder} cannot be written: {error.strerror or error}"
        raise Refusal(what, where=where, do="name a folder of your own") from error


def write_files(comparison: Comparison, plots: Path | None, page: Path | None, command: str) -> list[str]:
    """Write what was asked for; a line for each says where it is.

    Raises:
        Refusal: it cannot be written, as on a full disk; a page that was there before stays.
    """
    from expctl.compare.curves import records_of
    from expctl.report.page.page import page as page_of
    from expctl.report.plots.pictures import pictures, write_pictures

    groups = records_of(comparison)
    drawn = pictures(comparison, groups)
    lines: list[str] = []
    path = plots or page
    try:
        if plots is not None:
            written = write_pictures(drawn, plots)
            lines.append(f"plots  {plots} ({len(written)} files, PNG and SVG)")
        if page is not None:
            path = page
            write_whole(page, page_of(comparison, groups, drawn, command))
            lines.append(f"page   {page}")
    except OSError as error:
        raise Refusal(f"{path} cannot be written: {error.strerror or error}") from error
    return lines


def write_page(path: Path, text: str) -> None:
    """Write a page whole. Raise Refusal where it cannot be written; one that was there before stays."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise Refusal(f"{path} cannot be written: {error.strerror or error}") from error
