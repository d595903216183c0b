"""An error of Pydantic's in the words of this project, without the names of its types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from shelfmark.config.schema import SIZE, VERSION

MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "no such key",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_parsing_size": "should be a whole number of fewer digits",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "string_type": "should be text",
    "string_unicode": "should be text in UTF-8",
    "path_type": "should be a path",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
    "model_attributes_type": "should be an object",
    "dataclass_type": "should be a mapping",
    "none_required": "should be null",
    "greater_than": "should be greater than {gt}",
    "greater_than_equal": "should be at least {ge}",
    "less_than": "should be less than {lt}",
    "less_than_equal": "should be at most {le}",
    "string_too_short": "should have at least {min_length} characters",
    "string_too_long": "should have at most {max_length} characters",
    "too_short": "should have at least {min_length} entries",
    "too_long": "should have at most {max_length} entries",
    "literal_error": "should be {expected}",
    "enum": "should be {expected}",
    "date_type": "should be a date, as 2018-01-31",
    "date_parsing": "should be a date, as 2018-01-31",
    "date_from_datetime_parsing": "should be a date, as 2018-01-31",
    "date_from_datetime_inexact": "should be a date without a time, as 2018-01-31",
    "url_parsing": "should be an address, such as https://example.org",
    "url_scheme": "should be an address, such as https://example.org",
    "json_invalid": "should be JSON",
    "json_type": "should be JSON",
}
PATTERNS = {
    SIZE: "should be a size, as 4GB or 500MB",
    VERSION: "should be a name of letters, digits, '.', '_' and '-'",
}
PREFIXES = ("Value error, ", "Assertion failed, ", "Input ")


def first_problem(error: ValidationError) -> dict[str, Any]:
    """Return the first of the problems."""
    return {**error.errors(include_url=False)[0]}


def describe_problem(problem: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, as `should be a whole number`.

    Args:
        problem: one of `ValidationError.errors()`.
    """
    context = {
        key: f"{value:g}" if isinstance(value, float) else value
        for key, value in (problem.get("ctx") or {}).items()
    }
    if template := MESSAGES.get(problem["type"]):
        text = template.format_map(context)
        return text.replace(" 1 entries", " 1 entry").replace(" 1 characters", " 1 character")
    if problem["type"] == "string_pattern_mismatch":
        pattern = context["pattern"]
        return PATTERNS.get(pattern, f"should match {pattern}")
    text = str(problem["msg"])
    for prefix in PREFIXES:
        text = text.removeprefix(prefix)
    return text[:1].lower() + text[1:]
