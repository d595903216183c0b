"""`FastTfidfVectorizer` as an estimator: scikit-learn's checks, documentation, use alone."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from shelfmark.tfidf import vectorizer
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

# What every transformer of text must pass, whatever the base class does.
REQUIRED = {
    "check_do_not_raise_errors_in_init_or_set_params", "check_estimator_cloneable",
    "check_estimator_repr", "check_estimators_unfitted", "check_get_params_invariance",
    "check_mixin_order", "check_no_attributes_set_in_init", "check_param_validation",
    "check_parameters_default_constructible", "check_set_params",
    "check_transformer_get_feature_names_out", "check_transformers_unfitted",
    "check_valid_tag_types",
}  # fmt: skip
Check = Callable[[str, Any], object]


def checks() -> dict[str, Check]:
    """Return scikit-learn's checks that take the name of an estimator and the estimator."""
    result = {}
    for name, check in vars(estimator_checks).items():
        if name.startswith("check_") and callable(check):
            parameters = list(inspect.signature(check).parameters.values())
            required = [one.name for one in parameters if one.default is one.empty]
            if len(required) == 2 and required[0] == "name":
                result[name] = check
    return result


def outcome(check: Check, estimator: Any) -> str:
    """Return how a check ends: "passed", or the kind of its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(type(estimator).__name__, estimator)
    except Exception as error:
        return type(error).__name__
    return "passed"


def test_the_checks_that_must_pass_are_known() -> None:
    assert set(checks()) > REQUIRED


@pytest.mark.parametrize("name", sorted(checks()))
def test_a_check_ends_as_for_the_base_class(name: str) -> None:
    ours = outcome(checks()[name], FastTfidfVectorizer())
    assert ours == outcome(checks()[name], TfidfVectorizer())
    assert ours == "passed" or name not in REQUIRED


def test_check_estimator_passes_what_the_base_class_passes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # text is no input of most checks
        ours, theirs = (
            {one["check_name"]: one["status"] for one in check_estimator(estimator, on_fail=None)}
            for estimator in (FastTfidfVectorizer(), TfidfVectorizer())
        )
    assert ours == theirs
    assert set(ours.values()) == {"passed"}


def test_every_parameter_is_documented() -> None:
    documentation = inspect.getdoc(FastTfidfVectorizer) or ""
    parameters, _, rest = documentation.partition("Args:\n")[2].partition("Attributes:\n")
    for name in inspect.signature(FastTfidfVectorizer).parameters:
        assert f"    {name} (" in parameters
    for name in ("vocabulary_", "fixed_vocabulary_", "idf_", "engine_"):
        assert f"    {name} (" in rest


def test_the_example_of_the_documentation_runs() -> None:
    result = doctest.DocTestFinder(recurse=False).find(
        FastTfidfVectorizer, "FastTfidfVectorizer", vectorizer
    )
    (example,) = result
    assert len(example.examples) == 5
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_vectorizer_is_used_without_the_rest_of_shelfmark() -> None:
    code = "from shelfmark import FastTfidfVectorizer; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("shelfmark.")}
    rooms = {name.split(".")[1] for name in loaded}
    assert rooms <= {"tfidf", "core", "errors"}
    assert not {"hydra", "orjson", "pydantic", "xgboost"} & set(done.stdout.split())
