"""The models of a size: what each is called in recipes and on the scoreboard, and its asset."""

from dataclasses import dataclass

# The assets that hold scores: the scoreboard compares every one of these that there is.
EVALUATED = ("eval_report", "checkpoint_report")
# What stands on the scoreboard next to the models, and may be no model's name.
REAL_LINES = "real lines"


@dataclass(frozen=True)
class ModelRole:
    """A model of a size.

    ``speaks`` says whether it is served in character, ``marker`` is its own on pictures
    (matplotlib's).
    """

    name: str
    asset: str
    speaks: bool
    marker: str


# In the order in which they are made.
ROLES = (
    ModelRole("base", "base_model", speaks=True, marker="v"),
    ModelRole("cpt", "cpt_checkpoint", speaks=False, marker="^"),
    ModelRole("merged", "merged_model", speaks=True, marker="s"),
    ModelRole("fp8", "fp8_model", speaks=True, marker="o"),
)
NAMES = tuple(role.name for role in ROLES)
ASSETS = {role.name: role.asset for role in ROLES}
SPEAKING = {role.name: role.asset for role in ROLES if role.speaks}


def known_role(name: str) -> str:
    """Return the name of a role.

    Raises:
        ValueError: no role is called so.
    """
    if name not in NAMES:
        raise ValueError(f"no model is called {name!r}: give one of {', '.join(NAMES)}")
    return name
