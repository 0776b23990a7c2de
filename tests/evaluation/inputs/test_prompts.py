import json
from pathlib import Path

import polars as pl

from cyrene_assets.evaluation.inputs.prompts import missing_languages, select_prompts, write_prompts


def chat(
    name: str, scene: str, language: str = "en", split: str = "validation", turns: int = 3
) -> dict[str, object]:
    messages = [{"role": "system", "content": "You are Mira."}]
    for turn in range(1, turns + 1):
        messages.append({"role": "user", "content": f"{scene} asks {turn}"})
        messages.append({"role": "assistant", "content": f"{scene} says {turn}"})
    return {
        "chat": name,
        "scene": scene,
        "split": split,
        "language": language,
        "turns": turns,
        "messages": messages,
    }


def test_a_prompt_ends_with_the_user_and_its_reference_is_the_real_line() -> None:
    prompts = select_prompts(pl.DataFrame([chat("c", "s")]), 10)
    rows = {row["prompt"]: row for row in prompts.to_dicts()}
    assert set(rows) == {"en/c/1", "en/c/2", "en/c/3"}
    row = rows["en/c/2"]
    assert [m["content"] for m in row["messages"]] == [
        "You are Mira.",
        "s asks 1",
        "s says 1",
        "s asks 2",
    ]
    assert (row["reference"], row["scene"], row["language"]) == ("s says 2", "s", "en")


def test_only_held_out_chats_are_asked() -> None:
    chats = pl.DataFrame([chat("a", "s1", split="train"), chat("b", "s2")])
    assert select_prompts(chats, 10)["scene"].unique().to_list() == ["s2"]


def test_scenes_take_turns() -> None:
    chats = pl.DataFrame([chat("a", "s1", turns=9), chat("b", "s2", turns=2), chat("c", "s3")])
    prompts = select_prompts(chats, 5)
    assert sorted(prompts["scene"].to_list()[:3]) == ["s1", "s2", "s3"]
    assert sorted(prompts["scene"].value_counts()["count"].to_list()) == [1, 2, 2]


def test_the_choice_depends_on_neither_order_nor_language() -> None:
    rows = [chat(f"c{i}", f"s{i}", turns=4) for i in range(8)]
    there = select_prompts(pl.DataFrame(rows), 6)
    assert there.equals(select_prompts(pl.DataFrame(rows[::-1]), 6))
    other = select_prompts(pl.DataFrame([row | {"language": "th"} for row in rows]), 6)
    assert [p.removeprefix("th/") for p in other["prompt"]] == [
        p.removeprefix("en/") for p in there["prompt"]
    ]


def test_a_turn_to_which_nobody_spoke_is_no_prompt() -> None:
    messages = [
        {"role": "system", "content": "x"},
        {"role": "assistant", "content": "first"},
        {"role": "user", "content": " "},
        {"role": "assistant", "content": "second"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "third"},
    ]
    chats = pl.DataFrame([chat("c", "s") | {"messages": messages}])
    assert select_prompts(chats, 9)["prompt"].to_list() == ["en/c/3"]


def test_a_language_without_held_out_chat_is_named() -> None:
    chats = pl.DataFrame([chat("a", "s"), chat("b", "t", language="kr", split="train")])
    prompts = select_prompts(chats, 5)
    assert missing_languages(prompts, ["kr", "en", "th"]) == ["kr", "th"]


def test_no_held_out_chat_at_all() -> None:
    prompts = select_prompts(pl.DataFrame([chat("a", "s", split="train")]), 5)
    assert prompts.is_empty()
    assert missing_languages(prompts, ["en"]) == ["en"]


def test_written_prompts_are_json_lines(tmp_path: Path) -> None:
    prompts = select_prompts(pl.DataFrame([chat("a", "scène\u2028")]), 2)
    write_prompts(prompts, tmp_path / "prompts.jsonl")
    lines = (tmp_path / "prompts.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    first = json.loads(lines[0])
    assert list(first) == ["prompt", "language", "scene", "messages", "reference"]
    assert first["messages"][-1]["role"] == "user"
    assert len(lines) == 2
