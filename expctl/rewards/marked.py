"""Where the answer of a text stands: what the text marks as its answer, or its last statement."""

import re

LONGEST_ANSWER = 1000  # characters; a longer one is no answer
_LONGEST_STATEMENT = 4000  # characters from the end of a text that marks nothing
# TeX takes a single digit without braces, and of several the first alone: \boxed 7, but not \boxed 18.
_BOX = re.compile(r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\(?:boxed|fbox)\s+(?P<digit>\d)(?![\d.,/]*\d)|\\.|[{}]", re.DOTALL)
_ANSWER_OPENS = re.compile(r"<answer>", re.IGNORECASE)
_ANSWER_CLOSES = re.compile(r"</answer>", re.IGNORECASE)
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
# Two boxes with nothing but this between them are one answer in two parts, not a first and a better one.
_JOINS = re.compile(r"[\s$.,;]*(?:(?:or|and)\b)?[\s$]*", re.IGNORECASE)
# A box with one of these beside it is a factor or a term of the answer: -\boxed{5}, \boxed{5}^2.
_GOES_ON = re.compile(r"\s*(?:[\^_+/±√]|\*(?!\*)|\\(?:cdot|times|pm|mp|sqrt|pi|frac)(?![a-zA-Z]))|[a-zA-Z](?![a-zA-Z])")
_COMES_BEFORE = re.compile(r"(?:\\cdot ?|\\times ?|\\pm|\\mp|\\sqrt|[±√\d^]|(?:^|[\s$=(])-)$")
_CALCULATION = re.compile(r"<<[^<>\n]*>>")  # of GSM8K
_LONGEST_JOIN = 20  # characters
_DIGIT = re.compile(r"\d|[¼-¾⅐-⅞]")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?;])\s+")

Mark = tuple[int, int, str]  # start, end, what is marked


def marked_answer(text: str) -> str | None:
    """The answer that the text itself marks as final; "" where the last mark is empty or cut, None without a mark.

    Marks are `\\boxed{...}`, `<answer>...</answer>` and the rest of a line after `####`; the one that ends last counts.
    Neighbouring boxes (`\\boxed{1}, \\boxed{2}`) are one answer, separated by commas.
    """
    boxes, box_is_open = _boxes(text)
    tags, tag_is_open = _tags(text)
    hashes: list[Mark] = [(line.start(), line.end(), line[1].strip()) for line in _HASHES.finditer(text)]
    if box_is_open or tag_is_open:
        return ""
    marks = boxes[-1:] + tags[-1:] + hashes[-1:]
    if not marks:
        return None
    start, end, answer = max(marks, key=lambda mark: mark[1])
    is_box = (start, end, answer) in boxes[-1:]
    if is_box and (_GOES_ON.match(text, end) or _COMES_BEFORE.search(text, max(0, start - 8), start)):
        return ""
    if len(answer) > LONGEST_ANSWER:
        return answer
    inner = marked_answer(answer)
    return answer.strip() if inner is None else inner


def last_statement(text: str) -> str:
    """The last sentence with a digit in it, of a text that marks no answer; "" where there is none."""
    for line in reversed(_CALCULATION.sub("", text[-_LONGEST_STATEMENT:]).splitlines()):
        if _DIGIT.search(line):
            sentences = [sentence for sentence in _SENTENCE_ENDS.split(line) if _DIGIT.search(sentence)]
            return sentences[-1].strip()
    return ""


def last_line(text: str) -> str:
    """The last line that is not empty, or ""."""
    lines = text[-_LONGEST_STATEMENT:].strip().splitlines()
    return lines[-1].strip() if lines else ""


def _boxes(text: str) -> tuple[list[Mark], bool]:
    """The outermost boxes, neighbours joined, and whether the last of them is not closed. Linear in the text."""
    boxes: list[Mark] = []
    depth, start, inside = 0, 0, 0
    for token in _BOX.finditer(text):
        if token["digit"] and depth == 0:
            _add(boxes, (token.start(), token.end(), token["digit"]), text)
        elif token["box"] and depth == 0:
            start, inside, depth = token.start(), token.end(), 1
        elif depth and (token["box"] or token[0] == "{"):
            depth += 1
        elif depth and token[0] == "}":
            depth -= 1
            if depth == 0:
                _add(boxes, (start, token.end(), text[inside : token.start()]), text)
    return boxes, depth > 0


def _add(boxes: list[Mark], box: Mark, text: str) -> None:
    start, end, content = box
    if boxes and start - boxes[-1][1] <= _LONGEST_JOIN and _JOINS.fullmatch(text, boxes[-1][1], start):
        before = boxes.pop()
        boxes.append((before[0], end, f"{before[2]}, {content}"))
    else:
        boxes.append(box)


def _tags(text: str) -> tuple[list[Mark], bool]:
    """The content of the last `<answer>...</answer>`, and whether another is opened after it and not closed."""
    opens = [tag.span() for tag in _ANSWER_OPENS.finditer(text)]
    closes = [tag.span() for tag in _ANSWER_CLOSES.finditer(text)]
    if not opens:
        return [], False
    if not closes or closes[-1][0] < opens[-1][0]:
        return [], True
    start = opens[-1][1]
    end = next(close for close in closes if close[0] >= start)
    return [(opens[-1][0], end[1], text[start : end[0]].strip())], False
