"""The words of the scoreboard's page, each explained in one sentence."""

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "real lines": "what the character says in the corpus at these places; no model has seen them",
    "held out": "kept out of training, so that a model cannot know it by heart",
    "scene": "a conversation or a document; a scene is held out as one, in every language",
    "base": "the model before any training of this project",
    "profile": "a named set of sampling settings (temperature, penalties); the served one is what "
    "chat and server use",
    "interval": "where the value would be for other scenes of the same story, in 95 of 100 cases",
    "significant": "the interval of a difference leaves out zero",
    "lore cloze": "a name is covered in a sentence: how often the model prefers the right one to "
    "another name; half is chance",
    "style": "a classifier ranks texts by how much they sound like the character; AUC is how often "
    "the character's line ranks above another speaker's (0.5 is chance, 1 is always)",
    "excess regurgitation": "the share of the text that is copied from training word for word, "
    "beyond what the real lines share with it",
    "rep-4": "how many runs of four words are repeated within one answer",
    "distinct-2": "how many different pairs of words there are, at a fixed length: more is more "
    "varied",
    "Self-BLEU": "how alike the answers are to each other: less is more varied",
    "loss, nats": "how surprised the model is by held-out text, per token, in natural-logarithm "
    "units: 0.69 nats is one coin toss",
    "gap": "how much lower the loss is on texts of the training than on held-out ones",
    "one half (½)": "0.5 means that a classifier cannot tell answers from real lines",
}
