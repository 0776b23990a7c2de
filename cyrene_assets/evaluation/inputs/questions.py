"""Questions of mathematics and code: good answers to them are out of character."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.inputs.prompts import SCHEMA
from cyrene_assets.evaluation.inputs.word_lists import word_list

_FILE = Path(__file__).parent / "questions.yaml"


def select_questions(
    languages: Mapping[str, LanguageTraits], system_prompts: Mapping[str, str], per_language: int
) -> pl.DataFrame:
    """Return the questions of each language that has some (`prompts.SCHEMA`).

    Args:
        languages: of the corpus.
        system_prompts: the character's, by language.
        per_language: questions of each at most.
    """
    questions = word_list(_FILE)
    rows = [
        {
            "prompt": f"{language}/question/{number}",
            "language": language,
            "scene": f"question {number}",
            "messages": [
                {"role": "system", "content": system_prompts[language]},
                {"role": "user", "content": question},
            ],
            "reference": "",
        }
        for language, traits in languages.items()
        for number, question in enumerate(questions.get(traits.code, [])[:per_language], start=1)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)
