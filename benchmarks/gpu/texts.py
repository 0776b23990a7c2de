"""Invented training rows of known token lengths, and the tokenizer that they are counted with."""

import json
import random
import sys
from pathlib import Path

from cyrene_assets.workers.train.tiny_tokenizer import write_tokenizer

PACK, CHAT_PACK = 5120, 8190
# ms-swift ends a pretraining row with the end token.
END = 1


def one_token_words(tokenizer: object) -> list[str]:
    """Return words that are one token, at the start of a text and after a space alike."""
    vocabulary = tokenizer.get_vocab()  # type: ignore[attr-defined]
    return sorted(
        word
        for word in vocabulary
        if word.isascii() and word.isalpha() and "Ġ" + word in vocabulary
    )


def lengths(packs: int, pack: int, mean: float, rng: random.Random) -> list[list[int]]:
    """Return the row lengths of each pack: log-normal, and each pack exactly full."""
    result = []
    for _ in range(packs):
        rows: list[int] = []
        room = pack
        while room:
            length = max(24, round(rng.lognormvariate(0, 0.9) * mean / 1.5))
            if room - length < 24:
                length = room
            rows.append(length)
            room -= length
        result.append(rows)
    return result


def main() -> None:
    """Write ``tokenizer/``, ``cpt.jsonl``, ``sft.jsonl`` (a pack a line: a list of rows)."""
    out, corpus = Path(sys.argv[1]), Path(sys.argv[2])
    packs = int(sys.argv[3])
    folder = out / "tokenizer"
    folder.mkdir(parents=True)
    ids = write_tokenizer(sorted(corpus.glob("*/*.jsonl")), 262_144, folder)
    (folder / "ids.json").write_text(json.dumps(ids), encoding="utf-8")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    words = one_token_words(tokenizer)
    rng = random.Random(1)

    def text(tokens: int) -> str:
        return " ".join(rng.choices(words, k=tokens))

    with (out / "cpt.jsonl").open("w", encoding="utf-8") as file:
        for rows in lengths(packs, PACK, 300, rng):
            texts = [text(length - END) for length in rows]
            counts = [len(tokenizer.encode(t).ids) + END for t in texts]
            if counts != rows:
                raise SystemExit("a text has another number of tokens than it was made for")
            file.write(json.dumps(texts) + "\n")
    # <|im_start|>role\n ... <|im_end|>\n: five tokens around each message.
    with (out / "sft.jsonl").open("w", encoding="utf-8") as file:
        for rows in lengths(packs // 4, CHAT_PACK, 450, rng):
            chats = []
            for length in rows:
                frame = [("system", 40), ("user", 20), ("assistant", 0)]
                room = length - 5 * 3 - 60 - 4
                chats.append(
                    [
                        {"role": role, "content": text(max(4, tokens or room))}
                        for role, tokens in frame
                    ]
                )
            file.write(json.dumps(chats) + "\n")


if __name__ == "__main__":
    main()
