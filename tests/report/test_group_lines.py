"""The groups in the help and in the list: a line each for a program, none that a terminal breaks for a person."""

import os
import sys

from expctl.report.group_lines import group_lines

OPTIONS = {"algorithm": [f"method_{number}" for number in range(30)], "peft": ["lora", "none"]}


def test_a_line_a_group_where_a_program_reads():
    first, second = group_lines(OPTIONS)
    assert first.split(None, 1) == ["algorithm", ", ".join(OPTIONS["algorithm"])]
    assert second == "  peft       lora, none"


def test_no_line_is_wider_than_the_terminal_and_nothing_is_left_out(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((60, 24)))
    lines = group_lines(OPTIONS)
    assert max(map(len, lines)) <= 60 and " ".join(" ".join(lines).split()) == " ".join(
        " ".join(f"{group} {', '.join(options)}" for group, options in OPTIONS.items()).split()
    )
    assert all(line.startswith(" " * 13) for line in lines[1:-1])
