"""Source adapters: what turns a corpus folder's files into canonical rows.

An adapter is a module of the folder ``adapters``, known by its file name, with

- ``Options``: a pydantic model of what ``source`` in corpus.yaml says besides ``adapter``;
- ``MARKUP``: the presets of markup (``presets``) that hold where corpus.yaml has no ``markup``;
- ``files(root, corpus, language) -> list[Path]``: the raw files that the language's rows come from;
- ``read(root, corpus, language) -> Iterator[Row | DataFrame | Problem]``: the rows, dialog in
  order, then documents, singly or many in a table; and a ``Problem`` for what it leaves out. Raises
  ``SourceError`` with everything that is wrong with the files;
- ``unread(root, corpus) -> Iterator[Problem]``, where it can tell: the files that look like those
  of a language and are read for none.

Nothing else has to be edited to add one. A module with a leading underscore is no adapter.
"""
