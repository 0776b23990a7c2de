"""What counts as white space, as a placeholder and as plain text, in all of a corpus."""

# What Python's ``str.strip`` removes, which is what ms-swift applies to every content.
WHITESPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
# Instructions are code as often as not: what looks like a game's markup there is none.
PLAIN_KINDS = ("instruction",)
# Braces around text with a letter beyond ASCII and no # are text: {大地獣, 数学}. The class is
# printable ASCII without braces; the pattern is one that Python reads in the same way.
# Doubled braces are those of templates: {{user}}.
UNKNOWN_PLACEHOLDER = r"\{\{[ -z|~]*\}\}|\{(?:[ -z|~]*\}|[^{}]*#[^{}]*\}|[A-Za-z_]+)|\uFFFD+"
