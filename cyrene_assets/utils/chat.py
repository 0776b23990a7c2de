"""A chat's messages, as every interpreter of the project has them."""

from typing import Literal, TypeAlias, TypedDict

Role: TypeAlias = Literal["system", "user", "assistant"]


class Message(TypedDict):
    """What somebody says in a chat; JSON has the keys in this order."""

    role: Role
    content: str
