import polars as pl

from cyrene_assets.quantization import calibration as texts


def chats(*rows: tuple[str, str, str]) -> pl.DataFrame:
    messages = [
        {"role": "system", "content": "You keep the lamp."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Mind the wind."},
    ]
    return pl.DataFrame(
        [
            {
                "language": language,
                "chat": chat,
                "scene": chat,
                "split": split,
                "messages": [messages[0], {"role": "user", "content": chat}, messages[2]],
            }
            for language, chat, split in rows
        ]
    )


def said(chats: pl.Series) -> list[str]:
    return [messages[1]["content"] for messages in chats]


def test_languages_take_turns_in_calibration_and_nothing_is_held_out() -> None:
    many = [("en", f"e{number}", "train") for number in range(5)]
    few = [("jp", f"j{number}", "train") for number in range(2)]
    frame = chats(*many, *few, ("en", "held out", "validation"))
    chosen = said(texts.calibration_chats(frame, 4))
    assert [name[0] for name in chosen] == ["e", "j", "e", "j"]
    everything = said(texts.calibration_chats(frame, 100))
    assert sorted(everything) == [*(f"e{n}" for n in range(5)), "j0", "j1"]
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    assert said(texts.calibration_chats(shuffled, 4)) == chosen


def test_questions_are_held_out_where_they_can_be() -> None:
    frame = chats(("en", "e0", "train"), ("en", "e1", "validation"), ("jp", "j0", "train"))
    lines = texts.select_fidelity_lines(frame, 3)
    assert lines["language"].to_list() == ["en"]
    asked = texts.probe_questions(frame, lines)
    assert {language: messages[-1]["content"] for language, messages in asked.items()} == {
        "en": "e1",
        "jp": "j0",
    }
    assert all(messages[-1]["role"] == "user" for messages in asked.values())
