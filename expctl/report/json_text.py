"""What a verb says with --json."""

import json
import math
from dataclasses import fields, is_dataclass
from typing import Any


def json_text(content: Any) -> str:
    """Strict JSON: neither NaN nor infinity, but null; dataclasses are mappings, what only YAML has is text."""
    return json.dumps(_strict(content), indent=2, ensure_ascii=False, allow_nan=False)


def _strict(content: Any) -> Any:
    if content is None or isinstance(content, str | int):
        return content
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if is_dataclass(content):
        content = {field.name: getattr(content, field.name) for field in fields(content)}
    if isinstance(content, dict):
        return {str(key): _strict(value) for key, value in content.items()}
    return [_strict(value) for value in content] if isinstance(content, list | tuple) else str(content)
