"""From raw text to training sets, free of Dagster and torch.

``sources`` reads a corpus folder into canonical rows, ``clean``, ``align`` and ``split`` make the
parallel corpus of them, ``render`` the documents and chats, ``pack`` the training sequences.
"""
