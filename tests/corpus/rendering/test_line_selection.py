"""Whose lines become chats, in which scenes, and what is for documents or for chats alone."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from corpus.lint.test_dry_run import _build, _languages, _new, _write
from corpus.miniature import PEOPLE, of_language, read_parallel, write_corpus
from corpus.miniature import settings as miniature
from cyrene_assets.config.yaml_config import parse_model
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.preparation.leakage import REMEDY
from cyrene_assets.corpus.rendering.line_selection import IN_CHATS, count_character_lines
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.evaluation.inputs.prompts import has_other_assistants, of_character
from cyrene_assets.utils.errors import UserError

Line = tuple[str | None, str]
Chat = list[tuple[str, str]]
ROLES = {None: "narration", "You": "player", "Ada": "character", "The Stranger": "character"}


def corpus_with(**changes: Any) -> Corpus:
    return Corpus.model_validate(miniature(languages={"en": PEOPLE["en"]}, **changes))


def scene(*lines: Line, name: str = "s", only: str | None = None) -> pl.DataFrame:
    rows = [
        {
            **{"unit": f"{name}-{n}", "scene": name, "order": n, "kind": "dialog"},
            **{"speaker": speaker, "role": ROLES.get(speaker, "other"), "title": None},
            **{"text": text, "split": "train", "flags": [], "only": only},
        }
        for n, (speaker, text) in enumerate(lines)
    ]
    strings = dict.fromkeys(("title", "speaker", "only"), pl.String)
    return pl.DataFrame(rows, schema_overrides={**strings, "flags": pl.List(pl.String)})


def chats_of(units: pl.DataFrame, **options: Any) -> dict[str, Chat]:
    found = sft_chats(units, corpus_with(chats=options), "en")
    return {
        chat: [(m["role"], m["content"]) for m in messages]
        for chat, messages in found.select("chat", "messages").rows()
    }


TALK = scene(
    ("You", "Who is there?"),
    ("Bo", "A fisherman."),
    ("Ada", "And I."),
    ("Bo", "Both of us."),
    (None, "It rains."),
    ("Ada", "Come in."),
)
OWN = scene(("Ada", "Is it me?"), ("The Stranger", "It is you."), ("Ada", "So it is."))


def test_character_is_the_assistant_where_nothing_is_said_of_it() -> None:
    assert list(chats_of(TALK)) == ["s/Ada"]
    assert chats_of(TALK)["s/Ada"][0] == ("system", PEOPLE["en"]["system_prompt"])


def test_everyone_is_the_assistant_in_turn_but_the_player_and_the_narrator() -> None:
    found = chats_of(TALK, assistant="everyone")
    assert list(found) == ["s/Bo", "s/Ada"]
    assert found["s/Ada"] == chats_of(TALK)["s/Ada"]
    # The character is one of the others then.
    assert found["s/Bo"] == [
        ("system", "Bo"),
        ("user", "Who is there?"),
        ("assistant", "A fisherman."),
        ("user", "(And I.)"),
        ("assistant", "Both of us."),
    ]


def test_everyone_has_a_system_prompt_by_name_or_that_of_the_others() -> None:
    units = pl.concat([TALK, scene(("You", "And you?"), ("Cy", "Me too."), name="t")])
    prompts = {"Bo": {"en": "You are Bo, who fishes."}}
    found = chats_of(units, assistant="everyone", prompts=prompts, others_prompt="You are {name}.")
    assert {chat: said[0][1] for chat, said in found.items()} == {
        "s/Bo": "You are Bo, who fishes.",
        "s/Ada": PEOPLE["en"]["system_prompt"],
        "t/Cy": "You are Cy.",
    }


def test_a_word_alone_is_the_assistant() -> None:
    assert corpus_with(chats="everyone").chats.everyone
    with pytest.raises(ValueError, match="assistant: everyone"):
        corpus_with(chats={"others_prompt": "You are {name}."})
    with pytest.raises(ValueError, match="`chats` names tlh, which is no language"):
        corpus_with(chats={"assistant": "everyone", "prompts": {"Bo": {"tlh": "Bo SoH."}}})


def test_own_names_alone_give_chats_only_where_that_is_chosen() -> None:
    assert chats_of(OWN) == {}
    found = chats_of(OWN, own_names_alone=True)
    assert found["s/The Stranger"][1:] == [("user", "Is it me?"), ("assistant", "It is you.")]
    assert found["s/Ada"][1:] == [("user", "It is you."), ("assistant", "So it is.")]
    options = corpus_with().chats
    assert count_character_lines(OWN, options) == {
        "in scenes in which only names of the character speak": 3
    }
    chosen = corpus_with(chats={"own_names_alone": True}).chats
    assert count_character_lines(OWN, chosen) == {
        "in chats": 2,
        "in scenes in which only names of the character speak": 1,
    }
    # One who talks to herself is no chat either way.
    alone = scene(("Ada", "Hm."), ("Ada", "Well."))
    assert chats_of(alone, own_names_alone=True) == {}


@pytest.mark.parametrize(
    ("only", "made", "why"),
    [
        ("chats", (0, 1), IN_CHATS),
        ("documents", (1, 0), "selected for documents only"),
        ("nothing", (0, 0), "marked as not to be trained on"),
    ],
)
def test_what_is_for_one_alone_is_not_in_the_other(
    only: str, made: tuple[int, int], why: str
) -> None:
    marked = TALK.with_columns(only=pl.lit(only))
    documents, chats = cpt_documents(marked, corpus_with(), "en"), chats_of(marked)
    assert (len(documents), len(chats)) == made
    assert count_character_lines(marked, corpus_with().chats) == {why: 2}


def test_options_that_are_left_out_leave_no_trace_in_what_is_built() -> None:
    corpus = corpus_with()
    assert corpus.chat_params("en") == {"system_prompt": PEOPLE["en"]["system_prompt"]}
    assert corpus.split_params() == {"validation": 0.05, "seed": 42}
    assert set(corpus.render_params("en")) == {"player", "markup"}
    everyone = corpus_with(chats="everyone", gendered="both")
    assert everyone.split_params()["assistant"] == "everyone"
    assert everyone.chat_params("en")["others_prompt"] == "{name}"
    assert everyone.render_params("en")["gendered"] == "both, as twins"


def test_player_of_the_corpus_is_that_of_languages_without_one(tmp_path: Path) -> None:
    people = {code: {k: v for k, v in own.items() if k != "player"} for code, own in PEOPLE.items()}
    config = miniature(languages=people, player={"en": "You", "tlh": "SoH"})
    assert Corpus.model_validate(config).languages == Corpus.model_validate(miniature()).languages
    own = {**people, "tlh": PEOPLE["tlh"]}
    found = Corpus.model_validate(miniature(languages=own, player="Friend"))
    assert [language.player for language in found.languages.values()] == ["Friend", "SoH"]
    path = tmp_path / "corpus.yaml"
    path.write_text(yaml.safe_dump(miniature(languages=people, player={"en": "You"})), "utf-8")
    with pytest.raises(UserError, match=r"languages\.tlh\.player"):
        parse_model(Corpus, path)


def gendered(folder: Path, variant: str | None) -> dict[str, str]:
    """Return the texts of scenes that say the same gendered line, by scene."""
    config = miniature(split={"validation": 0.05, "seed": 1})
    if variant is not None:
        config["gendered"] = variant
    write_corpus(folder, config)
    for code in PEOPLE:
        lines = [
            {
                "scene": f"g{n}",
                "line": f"g{n}-0",
                "speaker": "You" if code == "en" else "SoH",
                "text": f"{n} {{M#he{{NICKNAME}}}}{{F#she}} goes{{F#{{M#}}}}.",
            }
            for n in range(40)
        ]
        with (folder / "dialog" / f"{code}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    _, parallel = read_parallel(folder)
    kept: dict[str, dict[str, str]] = {
        code: {
            row["scene"]: row["text"].split(" ", 1)[1]
            for row in of_language(parallel, code).to_dicts()
            if row["scene"].startswith("g")
        }
        for code in PEOPLE
    }
    for row in of_language(parallel, "en").filter(pl.col("scene") == "g3").to_dicts():
        assert row["raw_text"] == "3 {M#he{NICKNAME}}{F#she} goes{F#{M#}}."
    english = kept["en"]
    klingon = {scene: text.replace("SoH", "You") for scene, text in kept["tlh"].items()}
    assert klingon == english
    return english


def test_gendered_text_keeps_the_variant_that_is_chosen(tmp_path: Path) -> None:
    assert set(gendered(tmp_path / "none", None).values()) == {"she goes."}
    assert set(gendered(tmp_path / "female", "female").values()) == {"she goes."}
    assert set(gendered(tmp_path / "male", "male").values()) == {"heYou goes."}


def test_both_variants_of_a_scene_are_there_on_one_side_of_the_split(tmp_path: Path) -> None:
    found = gendered(tmp_path / "c", "both")
    assert found == {
        **{f"g{n}": "she goes." for n in range(40)},
        **{f"g{n}~male": "heYou goes." for n in range(40)},
    }
    _, parallel = read_parallel(tmp_path / "c")
    assert parallel.twins == 40
    assert not set(parallel.coverage["unit"].str.head(1)) & {"g"}
    for code in PEOPLE:
        split = dict(of_language(parallel, code).select("scene", "split").rows())
        assert len({split[scene] for scene in found}) == 2
        assert all(split[f"g{n}"] == split[f"g{n}~male"] for n in range(40))


def test_both_variants_leave_the_split_of_the_others_as_it_is(tmp_path: Path) -> None:
    sides = []
    for variant in ("female", "both"):
        gendered(tmp_path / variant, variant)
        _, parallel = read_parallel(tmp_path / variant)
        rows = of_language(parallel, "en").select("scene", "split").rows()
        sides.append({scene: split for scene, split in rows if not scene.endswith("~male")})
    assert sides[0] == sides[1]


def test_both_variants_of_chats_count_as_two(tmp_path: Path) -> None:
    config = miniature(gendered="both", markup=["hoyo"])
    write_corpus(tmp_path, config)
    for code, (player, character) in {"en": ("You", "Ada"), "tlh": ("SoH", "'aDa")}.items():
        # One language alone says it in two variants.
        said = "Is {F#she}{M#he} there?" if code == "en" else "naDev ghaHtaH'a'?"
        lines = [
            {"scene": "g", "line": f"g-{n}", "speaker": who, "text": text}
            for n, (who, text) in enumerate([(player, said), (character, "HIja', yes.")])
        ]
        with (tmp_path / "dialog" / f"{code}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    corpus, parallel = read_parallel(tmp_path)
    found = {
        code: [
            messages[1]["content"]
            for chat, messages in sft_chats(of_language(parallel, code), corpus, code)
            .select("chat", "messages")
            .rows()
            if chat.startswith("g")
        ]
        for code in PEOPLE
    }
    assert found == {"en": ["Is she there?", "Is he there?"], "tlh": ["naDev ghaHtaH'a'?"]}
    report = lint(tmp_path)
    assert report.summary is not None
    assert any("1 scene or document is there in both" in one for one in report.summary.in_words())
    assert not [one for one in report.warnings if "~male" in one.message]


def test_both_variants_with_an_id_of_a_twin_that_is_there_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path, miniature(gendered="both", markup=["hoyo"]))
    lines = [
        {"scene": scene, "line": scene, "speaker": "You", "text": "{F#She}{M#He} goes."}
        for scene in ("g", "g~male")
    ]
    with (tmp_path / "dialog" / "en.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    [error] = lint(tmp_path).errors
    assert error.file == "dialog/en.jsonl"
    assert error.message == "`scene` 'g~male' is what `gendered: both` calls the twin of another"


def test_gendered_without_its_markup_is_refused() -> None:
    with pytest.raises(ValueError, match="add the preset `hoyo` to `markup`"):
        corpus_with(gendered="male", markup=["html"])


def test_of_character_finds_the_chats_under_its_system_prompt() -> None:
    chats = sft_chats(TALK, corpus_with(chats="everyone"), "en")
    chats = chats.with_columns(language=pl.lit("en"))
    found = of_character(chats, {"en": PEOPLE["en"]["system_prompt"]})
    assert found["chat"].to_list() == ["s/Ada"]
    assert has_other_assistants(chats)
    assert not has_other_assistants(found)


OPTIONS = st.fixed_dictionaries(
    {
        "assistant": st.sampled_from(["character", "everyone"]),
        "own_names_alone": st.booleans(),
    }
)
SPEAKERS = st.sampled_from([None, "You", "Ada", "The Stranger", "Bo", "Cy"])
SCENES = st.lists(
    st.tuples(
        st.lists(SPEAKERS, min_size=1, max_size=12),
        st.sampled_from([None, None, "chats", "documents"]),
    ),
    min_size=1,
    max_size=6,
)


@given(SCENES, OPTIONS)
def test_every_line_is_an_answer_once_at_most_and_where_it_is_for_chats(
    scenes: list[tuple[list[str | None], str | None]], options: dict[str, Any]
) -> None:
    units = pl.concat(
        scene(
            *((who, f"line {number} {n}") for n, who in enumerate(cast)),
            name=f"s{number}",
            only=only,
        )
        for number, (cast, only) in enumerate(scenes)
    )
    corpus = corpus_with(chats=options)
    found = chats_of(units, **options)
    speakers = {row["text"]: row["speaker"] for row in units.to_dicts()}
    answered: list[str] = []
    for chat, said in found.items():
        number, _, name = chat.partition("/")
        assert scenes[int(number[1:])][1] != "documents"
        assert [role for role, _ in said] == ["system", *["user", "assistant"] * (len(said) // 2)]
        lines = [line for role, text in said if role == "assistant" for line in text.split("\n")]
        assert {speakers[line] for line in lines} == {name}
        answered += lines
    assert len(answered) == len(set(answered))
    own = [line for line in answered if ROLES.get(speakers[line]) == "character"]
    counts = count_character_lines(units, corpus.chats)
    own_lines = units.filter(role="character")
    assert sum(counts.values()) == len(own_lines)
    assert counts.get(IN_CHATS, 0) == len(own)
    if options["assistant"] == "character":
        assert own == answered
    else:
        alone = chats_of(units, own_names_alone=options["own_names_alone"])
        assert alone.items() <= found.items()
    documents = "\n".join(cpt_documents(units, corpus, "en")["text"])
    for place, (cast, only) in enumerate(scenes):
        assert (f"line {place} 0" in documents) == (only != "chats"), cast


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_languages(), st.integers(0, 10**6), OPTIONS, st.sampled_from(["female", "both"]))
def test_what_the_check_passes_packs_with_any_options(
    languages: dict[str, dict[str, Any]], seed: int, options: dict[str, Any], variant: str
) -> None:
    with TemporaryDirectory() as scratch:
        folder = _write(_new(Path(scratch) / "corpus"), languages, validation=0.2, seed=seed)
        config = yaml.safe_load((folder / "corpus.yaml").read_text(encoding="utf-8"))
        config |= {"chats": options, "gendered": variant, "markup": ["hoyo"]}
        for code, own in languages.items():
            # A third one of the cast is the character under another name.
            config["languages"][code]["speakers"] = [own["names"][0], *own["names"][2:3]]
        text = yaml.safe_dump(config, allow_unicode=True)
        (folder / "corpus.yaml").write_text(text, encoding="utf-8")
        report = lint(folder)
        assert not [error for error in report.errors if error.remedy == REMEDY]
        assume(report.ok)
        _build(folder, Path(scratch) / "out")


def test_the_check_names_prompts_of_nobody(tmp_path: Path) -> None:
    chats = {"assistant": "everyone", "prompts": {"Bo": "You are Bo.", "Nobody": "You are not."}}
    report = lint(write_corpus(tmp_path, miniature(chats=chats)))
    messages = [problem.message for problem in report.warnings]
    assert "chats.prompts: 'Nobody' never speaks" in messages
    assert not any("'Bo' never speaks" in message for message in messages)
