import polars as pl

from cyrene_assets.corpus.preparation.chinese import (
    has_other_variant,
    minority_characters,
    variants,
)

SIMPLIFIED = [
    "这里是海边的灯塔", "我们说话时风很大",
    "谁在门外听着", "把船开过来",
]  # fmt: skip
TRADITIONAL = [
    "這裡是海邊的燈塔", "我們說話時風很大",
    "誰在門外聽著", "把船開過來", "群床着裏峰",
]  # fmt: skip


def test_each_kind_is_found_in_the_other() -> None:
    for own, other in ((SIMPLIFIED, TRADITIONAL), (TRADITIONAL, SIMPLIFIED)):
        texts = pl.Series([*own * 20, other[0]])
        assert has_other_variant(texts).arg_true().to_list() == [len(own) * 20]


def test_clean_texts_and_regional_forms_are_not_flagged() -> None:
    assert not has_other_variant(pl.Series(SIMPLIFIED * 20)).any()
    assert not has_other_variant(pl.Series([*TRADITIONAL[:4] * 20, TRADITIONAL[4]])).any()
    assert not has_other_variant(pl.Series(["no Han"] * 3 + [None])).any()


def test_what_many_texts_have_is_at_home() -> None:
    texts = pl.Series([*SIMPLIFIED * 20, *["陳先生来了"] * 10])
    assert not has_other_variant(texts).any()


def test_a_language_of_both_kinds_has_no_other() -> None:
    assert not has_other_variant(pl.Series(SIMPLIFIED + TRADITIONAL)).any()


def test_the_kinds_share_nothing_and_are_large() -> None:
    simplified, traditional = variants()
    assert not simplified & traditional
    assert min(len(simplified), len(traditional)) > 2000


def test_the_characters_of_the_other_kind_are_named() -> None:
    assert minority_characters("我们说來") == ["來"]
    assert minority_characters("海") == []
