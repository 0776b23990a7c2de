"""Base models as people have them: what is repaired, what is refused, and what comes of the rest.

Refusals are looked at on checkpoints of a few bytes; the embedded model, changed as other tools
leave theirs, goes through every stage with the real ones.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import HIDDEN, VOCABULARY, base_shapes, write_checkpoint
from odd_bases import (
    HEAD,
    TEMPLATE,
    Weights,
    edit_json,
    read_weights,
    sharded,
    with_head,
    without,
    without_mtp,
    without_template,
    write_weights,
)

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE, stored_template, template_problem
from cyrene_assets.base_models.source import source_problem
from cyrene_assets.base_models.verification import BaseDemands, verify
from cyrene_assets.checkpoints import files
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import BaseModelSource, ProjectFile
from cyrene_assets.serving.chat_template import character_template, trained_template
from cyrene_assets.utils.errors import UserError
from cyrene_assets.workers.common.pipes_program import Program
from cyrene_assets.workers.train.base_model import main

Change = Callable[[Path], None]
CHATML_WITHOUT_THINKING = """\
{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
LLAMA = """\
{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>

{{ m.content }}<|eot_id|>{% endfor %}"""


def take(folder: Path, out: Path, template: str | None = None) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    source = {"kind": "local", "path": str(folder)}
    extras = {"source": source, "expect": None, "chat_template": template, "out": str(out)}
    return main(Program(extras, lambda _: None))


def counted(folder: Path) -> None:
    """Give the weights other values than zeros, each byte its own."""
    path = folder / "model.safetensors"
    weights: Weights = {}
    for start, (name, (dtype, shape, content)) in enumerate(read_weights(path).items()):
        weights[name] = dtype, shape, bytes((start + n) % 251 for n in range(len(content)))
    write_weights(path, weights)


def all_weights(folder: Path) -> Weights:
    found: Weights = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= read_weights(path)
    return found


@pytest.mark.parametrize("shards", [0, 1, 3, 6, 7])
def test_main_with_a_stored_twin_leaves_it_out_and_all_else_as_it_is(
    tmp_path: Path, shards: int
) -> None:
    """In one file, spread over several, and alone in a file of its own (7 tensors)."""
    folder = write_checkpoint(tmp_path / "mine")
    counted(folder)
    with_head(folder)
    if shards:
        sharded(folder, shards)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = take(folder, tmp_path / "out")
    wanted = all_weights(folder)
    del wanted[HEAD]
    assert all_weights(tmp_path / "out") == wanted
    assert files.tensors(tmp_path / "out").keys() == wanted.keys()
    assert [repair["becomes"] for repair in result["repairs"]] == [
        "lm_head.weight is the embedding, stored once"
    ]
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    if shards:
        index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == sum(len(c) for _, _, c in wanted.values())


@pytest.mark.parametrize("flipped", [0, 2 * HIDDEN * VOCABULARY - 1])
def test_main_with_a_twin_of_one_other_bit_refuses(tmp_path: Path, flipped: int) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    with_head(folder, flipped)
    with pytest.raises(UserError, match=r"lm_head\.weight is not the embedding.*remove"):
        take(folder, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_main_with_an_output_layer_of_its_own_keeps_it(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    with_head(folder, 0)
    with pytest.raises(UserError, match="is not the embedding"):
        take(folder, tmp_path / "out")
    edit_json(folder, "config.json", {"tie_word_embeddings": False})
    with pytest.raises(UserError, match="False, and True in text_config"):
        take(folder, tmp_path / "out")
    edit_json(folder, "config.json", {"text_config.tie_word_embeddings": False})
    assert take(folder, tmp_path / "out")["repairs"] == []
    assert HEAD in all_weights(tmp_path / "out")


@pytest.mark.parametrize(("outer", "inner"), [(True, None), (True, False), (None, True)])
def test_main_with_an_output_layer_tied_for_one_library_ties_it_for_all(
    tmp_path: Path, outer: bool | None, inner: bool | None
) -> None:
    """transformers reads the outer entry, vLLM that of the text configuration."""
    folder = write_checkpoint(tmp_path / "mine")
    ties = {"tie_word_embeddings": outer, "text_config.tie_word_embeddings": inner}
    edit_json(folder, "config.json", ties)
    (repair,) = take(folder, tmp_path / "out")["repairs"]
    assert f"{outer}, and {inner} in text_config" in repair["was"]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["tie_word_embeddings"] is config["text_config"]["tie_word_embeddings"] is True


def test_main_without_mtp_says_so_in_the_configuration(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    edit_json(folder, "config.json", {"text_config.mtp_num_hidden_layers": 1})
    assert take(folder, tmp_path / "whole")["repairs"] == []
    without_mtp(folder)
    (repair,) = take(folder, tmp_path / "out")["repairs"]
    assert repair["file"] == "config.json"
    assert "mtp_num_hidden_layers is 1, and no tensor mtp.*" in repair["was"]
    wanted = json.loads((folder / "config.json").read_text())
    wanted["text_config"]["mtp_num_hidden_layers"] = 0
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == wanted


def with_template(text: str) -> Change:
    def write(folder: Path) -> None:
        (folder / TEMPLATE).write_text(text)

    return write


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_template, "no chat template"),
        (with_template(LLAMA), r"it renders .*start_header_id.* where training has"),
        (with_template("{% for %}"), "it cannot render a conversation"),
        (with_template("{{ messages[9].content.upper() }}"), "it cannot render a conversation"),
        (with_template("{{ raise_exception('no') }}"), r"it cannot render a conversation \(no\)"),
    ],
)
def test_main_with_no_template_or_another_asks_for_consent(
    tmp_path: Path, change: Change, said: str
) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    change(folder)
    with pytest.raises(UserError, match=rf"{said}.*`chat_template: family`"):
        take(folder, tmp_path / "out")
    (repair,) = take(folder, tmp_path / "out", "family")["repairs"]
    assert (repair["file"], repair["becomes"]) == (TEMPLATE, "the family's own chat template")
    assert stored_template(tmp_path / "out") == CHAT_TEMPLATE


def test_main_with_consent_keeps_a_template_that_renders_the_same(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    own = "{# with tools, one day #}" + CHAT_TEMPLATE
    (folder / TEMPLATE).unlink()
    edit_json(folder, "tokenizer_config.json", {"chat_template": own})
    assert take(folder, tmp_path / "out", "family")["repairs"] == []
    assert stored_template(tmp_path / "out") == own


def test_the_family_s_template_takes_the_place_of_all_others(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    without_template(folder)
    edit_json(folder, "tokenizer_config.json", {"chat_template": LLAMA})
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": LLAMA}))
    take(folder, tmp_path / "out", "family")
    left = "".join(
        p.read_text() for p in (tmp_path / "out").iterdir() if p.suffix != ".safetensors"
    )
    assert "start_header_id" not in left


def test_template_problem_of_templates_with_transformers_extensions_is_none(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    marked = CHAT_TEMPLATE.replace(
        "{{- content + '<|im_end|>\\n' -}}",
        "{% generation %}{{- content + '<|im_end|>\\n' -}}{% endgeneration %}",
    )
    assert marked != CHAT_TEMPLATE
    assert template_problem(folder, marked) is None
    looped = "{% for _ in messages %}{% break %}{% endfor %}{% if strftime_now('%Y') %}{% endif %}"
    assert template_problem(folder, looped + CHAT_TEMPLATE) is None
    assert template_problem(folder, "{{ eos_token }}" + CHAT_TEMPLATE) is not None


def test_template_problem_of_a_template_without_think_blocks_is_none(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    trained = trained_template(CHAT_TEMPLATE)
    assert template_problem(folder, trained) is None
    assert template_problem(folder, CHATML_WITHOUT_THINKING) is None
    exported = character_template(trained, {"en": "You are Ovelle."}, "en")
    assert template_problem(folder, exported) is None
    spoiled = trained.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant'")
    assert spoiled != trained
    assert template_problem(folder, spoiled) is not None


def config(**change: Any) -> Change:
    return lambda folder: edit_json(
        folder, "config.json", {key.replace("__", "."): value for key, value in change.items()}
    )


def tokens(**change: Any) -> Change:
    return lambda folder: edit_json(folder, "tokenizer_config.json", change)


def vocabulary(change: Callable[[dict[str, int]], Any]) -> Change:
    def edit(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text())
        change(content["model"]["vocab"])
        known = content["model"]["vocab"]
        content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] in known]
        path.write_text(json.dumps(content))

    return edit


def removed(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def with_dtype(folder: Path) -> None:
    shapes = base_shapes() | {
        "model.language_model.layers.0.mlp.up_proj.weight": ("F8_E4M3", (8, HIDDEN))
    }
    write_checkpoint(folder, shapes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (config(architectures=None), r"config\.json: architectures is None, and vLLM serves"),
        (config(architectures=["Qwen3_5ForCausalLM"]), "Qwen3_5ForCausalLM"),
        (config(text_config=None), "no `text_config`"),
        (config(vision_config=None), "no `vision_config`"),
        (config(quantization_config={"quant_method": "fp8"}), r"quant_method 'fp8'\)"),
        (with_dtype, r"up_proj\.weight is F8_E4M3"),
        (
            config(tie_word_embeddings=None, text_config__tie_word_embeddings=False),
            r"no lm_head\.weight, and .* is None\)",
        ),
        (config(text_config__pad_token_id=8), "pad_token_id is 8 in config.json, text_config"),
        (config(eos_token_id=[1, 99]), "eos_token_id is 99 in config.json"),
        (tokens(eos_token=None), "neither eos_token nor pad_token"),
        (tokens(pad_token={"content": "<|PAD|>"}), r"pad_token is '<\|PAD\|>', which"),
        (vocabulary(lambda known: known.pop("<|im_end|>")), r"<\|im_end\|> is not a single token"),
        (vocabulary(lambda known: known.update(c=8)), "a token of id 8, .* has 8 rows"),
        (removed("preprocessor_config.json"), r"neither preprocessor_config\.json nor"),
    ],
)
def test_main_with_what_a_later_stage_fails_on_refuses_it(
    tmp_path: Path, change: Change, said: str
) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    change(folder)
    with pytest.raises(UserError, match=said):
        take(folder, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_source_problem_of_a_folder_tells_it_before_anything_is_built(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    without_template(folder)

    def problem(**consent: str) -> str | None:
        found = BaseModelSource.model_validate({"path": str(folder), **consent})
        return source_problem(
            Project(tmp_path, ProjectFile(base_models={"tiny": found})), SIZES["tiny"]
        )

    assert "mine: no chat template" in str(problem())
    # What is left is that it is far too small.
    assert "parameters, and tiny has" in str(problem(chat_template="family"))


def test_generation_config_with_an_end_beyond_the_embedding_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 8]}')
    with pytest.raises(UserError, match=r"eos_token_id is 8 in generation_config\.json"):
        take(folder, tmp_path / "out")


def test_verify_of_a_good_model_has_no_repairs(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    assert verify(folder, BaseDemands()).repairs == []
    assert partial(without, prefix="mtp.")(folder) is None
    assert verify(folder, BaseDemands()).repairs == []
