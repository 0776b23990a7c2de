"""Which of the character's lines no model learns from, as the current artifacts' pages say it."""

from collections.abc import Iterator

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.counting import counted


def left_out(state: ProjectState) -> Iterator[str]:
    """Yield which share of the character's lines is in no chat, or in no training set."""
    totals = [0, 0]
    for language in state.project.corpus.languages:
        found = _numbers(state, "sft_chat", language, "character_lines", "lines_in_chats")
        totals = [total + number for total, number in zip(totals, found, strict=True)]
    lines, in_chats = totals
    if lines > in_chats:
        yield (
            f"{lines - in_chats:,} of the character's {counted(lines, 'line')} "
            f"({1 - in_chats / lines:.1%}) {'is' if lines - in_chats == 1 else 'are'} in no chat: "
            "the pages of sft_chat say why"
        )
    for size in SIZES:
        found = _numbers(state, "packed_sft", size, "character_lines", "lines_left_out")
        if found[1]:
            yield (
                f"{found[1]:,} of {counted(found[0], 'line')} in chats "
                f"({found[1] / found[0]:.1%}) {'is' if found[1] == 1 else 'are'} too long for the "
                f"sequence length of {size}, and left out"
            )


def _numbers(state: ProjectState, asset: str, partition: str, *names: str) -> list[int]:
    """Return numbers from the metadata of the current artifact, 0 where there is none."""
    record = state.record(ArtifactKey(asset, partition))
    values = [
        record.metadata[name].value if record and name in record.metadata else 0 for name in names
    ]
    return [value if isinstance(value, int) else 0 for value in values]
