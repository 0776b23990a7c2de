"""Who is defined in a Ren'Py game: the names behind ``define e = Character("Eileen")``."""

import ast
import re
import warnings
from dataclasses import dataclass, field

ASSIGNED = re.compile(
    r"(?:(?:define|default)\s+(?:-?\d+\s+)?|\$\s*)?([^\W\d]\w*(?:\.\w+)*)\s*=\s*(.+)", re.DOTALL
)


@dataclass
class People:
    """Names by the variable that speaks; None for narrators. ``[x]`` is what a variable says."""

    names: dict[str, str | None] = field(default_factory=dict)

    def define(self, line: str) -> None:
        """Note whom a line defines, if it does."""
        found = ASSIGNED.match(line)
        if found is None:
            return
        try:
            with (
                warnings.catch_warnings()
            ):  # What Python thinks of a game's code is not ours to say.
                warnings.simplefilter("ignore")
                value = ast.parse(found[2].strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        if isinstance(value, ast.Name) and value.id in self.names:
            self.names[found[1]] = self.names[value.id]
        elif isinstance(value, ast.Call) and re.search(
            r"(?:^|\.)(?:\w*Character)$", ast.unparse(value.func)
        ):
            self.names[found[1]] = self._name(value)

    def _name(self, call: ast.Call) -> str | None:
        keywords = {one.arg: one.value for one in call.keywords}
        given = call.args[0] if call.args else keywords.get("name")
        if given is None:
            kind = keywords.get("kind")
            return self.names.get(ast.unparse(kind)) if kind is not None else None
        dynamic = ast.unparse(call.func).endswith("DynamicCharacter") or (
            "dynamic" in keywords and ast.unparse(keywords["dynamic"]) == "True"
        )
        while isinstance(given, ast.Call) and given.args:
            given = given.args[0]
        if isinstance(given, ast.Constant) and given.value is None:
            return None
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            return f"[{given.value}]" if dynamic else given.value
        return f"[{ast.unparse(given)}]"
