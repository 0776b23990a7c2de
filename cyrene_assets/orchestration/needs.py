"""What a stage may need of the machine that it runs on, and what was found of these needs."""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from cyrene_assets.compute.hardware import Hardware


class Need(StrEnum):
    """Something that a stage needs of the machine; an asset declares its own (``needs=``).

    The toolchains' needs follow from an asset's toolchains.
    """

    TRAIN_TOOLCHAIN = "the train toolchain"
    SERVE_TOOLCHAIN = "the serve toolchain"
    TRAINING = "training: kernels, a C compiler, GPU memory or main memory, keys of its reports"
    SERVING = "vLLM: a CPU or GPU that it runs on, its libraries, a C compiler, memory"
    BASE_MODEL = "a base model: a hub that answers, or a folder with a model that can be served"
    WEIGHTS = "disk for a model's weights"


# By the name of the toolchain that is there.
INSTALLED = {"train": Need.TRAIN_TOOLCHAIN, "serve": Need.SERVE_TOOLCHAIN}


@dataclass(frozen=True)
class Problem:
    """One thing that is missing: one line with the reason, the value and the remedy.

    It concerns every stage that has one of ``needs``.
    """

    needs: frozenset[Need]
    text: str


@dataclass
class Findings:
    """What was found: problems in the order in which they are told, and what is for information.

    ``needed`` are bytes by what they are for, ``toolchains`` the versions that each one has.
    """

    hardware: Hardware = field(default_factory=Hardware)
    toolchains: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    needed: dict[str, int] = field(default_factory=dict)

    def add(self, text: str | None, *needs: Need) -> None:
        """Note a problem of stages with one of ``needs``; nothing where ``text`` is None."""
        if text is None:
            return
        for place, known in enumerate(self.problems):
            if known.text == text:
                self.problems[place] = Problem(known.needs | frozenset(needs), text)
                return
        self.problems.append(Problem(frozenset(needs), text))

    def of(self, needs: Collection[Need]) -> list[Problem]:
        """Return the problems of stages with these needs."""
        return [problem for problem in self.problems if not problem.needs.isdisjoint(needs)]
