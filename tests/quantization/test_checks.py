import math
from typing import Any

import pytest

from cyrene_assets.quantization.checks import CHECKS, outcomes

RESULT: dict[str, Any] = {
    "scheme": "FP8_BLOCK",
    "bound": 0.066,
    "errors": {"a": 0.06, "b": 0.065},
    "quantized_modules": ["a", "b"],
    "intended_modules": ["a", "b"],
    "mtp": 15,
    "mtp_altered": [],
    "changed_files": [],
    "files": ["model.safetensors", "config.json", "chat_template.jinja", "merges.txt"],
    "bytes_before": 100,
    "bytes_after": 60,
}
CHECKED: dict[str, Any] = {"answers": {"en": "Mind the wind.", "jp": "風"}}


def test_all_is_well() -> None:
    found = outcomes(RESULT, CHECKED)
    assert [outcome.name for outcome in found] == [check.name for check in CHECKS]
    assert all(outcome.passed for outcome in found)
    assert found[2].detail == "at most 0.0650 (b); FP8_BLOCK allows 0.0660"


@pytest.mark.parametrize(
    ("name", "result", "checked", "said"),
    [
        ("loads_and_answers", {}, {"answers": {"en": "x", "jp": ""}}, "no answer in jp"),
        ("loads_and_answers", {}, {"answers": {}}, "0 languages"),
        ("intended_modules", {"quantized_modules": ["a"]}, {}, "not as intended: b"),
        ("intended_modules", {"intended_modules": ["a"]}, {}, "not as intended: b"),
        ("weight_error", {"errors": {"a": 0.07, "b": 0.01}}, {}, "0.0700 (a); FP8_BLOCK allows"),
        ("weight_error", {"errors": {"a": 0.01, "b": math.nan}}, {}, "nan (b); FP8_BLOCK allows"),
        ("mtp_from_base", {"mtp_altered": ["mtp.fc.weight"]}, {}, "mtp.fc.weight"),
        ("base_files_kept", {"changed_files": ["tokenizer.json"]}, {}, "tokenizer.json"),
        ("safetensors_only", {"files": ["model.bin", "a.py"]}, {}, "model.bin, a.py"),
        ("smaller_than_merged", {"bytes_after": 100}, {}, "100%"),
    ],
)
def test_each_check_fails_on_its_own(
    name: str, result: dict[str, Any], checked: dict[str, Any], said: str
) -> None:
    found = outcomes(RESULT | result, CHECKED | checked)
    (failed,) = [outcome for outcome in found if not outcome.passed]
    assert failed.name == name
    assert said in failed.detail
    blocking = {check.name: check.blocking for check in CHECKS}
    assert blocking[name] == (name != "smaller_than_merged")
