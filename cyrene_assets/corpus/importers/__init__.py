"""Importers: what brings dialog in somebody else's format into the plain layout of a corpus.

A format is a module of the folder ``formats``, known by its file name (``openai_messages`` is the
format ``openai-messages``), with

- ``SUMMARY``: what it reads, in half a line;
- ``EXAMPLES``: commands as a person types them;
- ``Options``: a pydantic model of its own options; the fields' descriptions are their help;
- ``read(path, options, hints, progress) -> Imported``: everything that is read, and what was
  skipped and why. Raises ``SourceError`` with what is wrong with the files.

Nothing else has to be edited to add one. A module with an underscore before its name is none.
"""
