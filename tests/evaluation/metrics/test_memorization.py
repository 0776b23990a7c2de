import random

import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics.memorization import (
    calibrated_length,
    find_matches,
)

STORY = [
    "The lamp is lit, and the grass bows to the tide.\nNobody has seen the sea for sixty years.",
    "海は六十年前に行ってしまった。草だけがまだ潮に向かっておじぎをする。",
]


def test_a_copied_corpus_scores_1_and_something_new_0() -> None:
    matches = find_matches(STORY, [STORY[0], STORY[1], "A goat pulls the ferry on its wheels."], 20)
    assert matches.covered.tolist() == [len(STORY[0]), len(STORY[1]), 0]
    assert matches.characters.tolist()[:2] == [len(STORY[0]), len(STORY[1])]
    assert matches.spans[0] == [(0, len(STORY[0]))]
    assert matches.longest[2] < 20


def test_only_long_matches_count_and_they_are_marked() -> None:
    answer = "Well, the grass bows to the tide, and so do I."
    matches = find_matches(STORY, [answer], 15)
    (start, end) = matches.spans[0][0]
    assert answer[start:end] == " the grass bows to the tide"
    assert matches.covered[0] == end - start == matches.longest[0]
    assert find_matches(STORY, [answer], 40).covered.tolist() == [0]


def test_it_agrees_with_looking_everywhere() -> None:
    rng = random.Random(7)
    training = ["".join(rng.choices("ab é急🌊", k=40)) for _ in range(5)]
    answers = ["".join(rng.choices("ab é急🌊", k=rng.randrange(30))) for _ in range(150)]
    matches = find_matches(training, answers, 5)
    for index, answer in enumerate(answers):
        longest = [
            max(
                n
                for n in range(len(answer) - i + 1)
                if any(answer[i : i + n] in t for t in training)
            )
            for i in range(len(answer))
        ]
        covered = {i + k for i, n in enumerate(longest) if n >= 5 for k in range(n)}
        assert matches.covered[index] == len(covered)
        assert matches.longest[index] == max(longest, default=0)
        assert {k for start, end in matches.spans[index] for k in range(start, end)} == covered


def test_no_match_runs_over_the_end_of_a_text_or_an_answer() -> None:
    matches = find_matches(["abc", "def"], ["abcdef", "abc", "def"], 4)
    assert matches.covered.tolist() == [0, 0, 0]
    assert matches.longest.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("training", "answers"),
    [([], ["abc"]), (["abc"], []), ([], []), ([""], [""]), (["abc"], ["", "\ud800", "\x00"])],
)
def test_odd_input_is_no_match(training: list[str], answers: list[str]) -> None:
    matches = find_matches(training, answers, 2)
    assert matches.covered.tolist() == [0] * len(answers)
    assert len(matches.spans) == len(answers)


def test_a_hundred_thousand_characters() -> None:
    matches = find_matches(STORY, [STORY[0] * 1200], 50)
    assert matches.characters[0] > 100_000
    assert matches.covered[0] == matches.characters[0]


def test_calibrated_length_with_translations_is_measured_on_them() -> None:
    nan = float("nan")
    alphabets: list[list[float]] = [[100, 80, 60, nan], [100, 80, 60, 9], [5, 5, 5, 5]]
    assert calibrated_length(traits("en"), alphabets[0], alphabets[1:]) == 50
    assert calibrated_length(traits("xq7"), alphabets[2], alphabets[:2]) == 50
    assert calibrated_length(traits("chs"), [30, 24, nan, 3], alphabets) == 16
    assert calibrated_length(traits("zh-CN"), [30, 24, nan, 3], alphabets) == 16


def test_calibrated_length_without_a_language_of_letters_is_the_languages_own() -> None:
    found = {key: calibrated_length(traits(key), [1.0], []) for key in ("jp", "ja", "th", "ko")}
    assert found == {"jp": 22, "ja": 22, "th": 44, "ko": 24}
