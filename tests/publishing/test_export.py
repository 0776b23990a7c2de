import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hostile import PAYLOADS
from json_server import JsonHandler
from proxies import proxying
from syrupy.assertion import SnapshotAssertion

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.evaluation.metrics.fidelity import TRUNCATED, FidelityMeans
from cyrene_assets.project.project import Project
from cyrene_assets.publishing import hub
from cyrene_assets.publishing.exchanges import exchanges, main_scores
from cyrene_assets.publishing.export import export, is_exported
from cyrene_assets.publishing.model_card import card_values, render_card
from cyrene_assets.serving.character import ServedArtifact
from cyrene_assets.serving.server import free_port
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.text_safety import escape_control_chars

TRAINING = {"steps": 9, "first_eval_loss": 9.0, "last_eval_loss": 6.5}
FIDELITY = {
    "en": FidelityMeans(
        tokens=120,
        greedy_agreement=0.975,
        mean_kl=0.0031,
        perplexity_reference=12.5,
        perplexity=12.6,
    )
}


def publish(
    project: Project,
    asset: str,
    partition: str,
    inputs: list[Artifact],
    files: dict[str, str],
    **fields: Any,
) -> Artifact:
    named = {str(artifact.key): artifact.digest for artifact in inputs}
    with project.store.stage(asset) as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        if asset == "sft_chat":
            pl.DataFrame({"split": ["train", "train", "validation"]}).write_parquet(
                folder / "chats.parquet"
            )
        told = {"inputs": named, "params": {}, "measurements": {}, **fields}
        return project.store.publish(folder, ArtifactKey(asset, partition), told)


@pytest.fixture
def character(tmp_path: Path) -> ServedArtifact:
    project = Project(tmp_path / "home", Project.load().settings)
    chats = [
        publish(project, "sft_chat", code, [], {}, params={"system_prompt": f"You are {code}."})
        for code in project.corpus.languages
    ]
    packed = publish(
        *(project, "packed_sft", "tiny", chats, {"rows": "x"}), measurements={"tokens": 1234}
    )
    base = publish(
        *(project, "base_model", "tiny", [], {"config.json": "{}"}),
        params={"kind": "hub", "repository": "Org/Base"},
        measurements={"revision": "a" * 40, "parameters": 4_200_000_000},
    )
    losses = json.dumps({"step": 1, "loss": 7.0}) + "\n"
    adapter = publish(
        *(project, "lora_adapter", "tiny", [base, packed], {"training/losses.jsonl": losses}),
        params=project.recipe(SIZES["tiny"]).sft.model_dump(mode="json"),
        measurements=TRAINING,
        toolchain={"ms-swift": "4.6.0"},
    )
    model = publish(
        *(project, "fp8_model", "tiny", [adapter, base]),
        {
            "config.json": "{}",
            "model.safetensors": "weights",
            "chat_template.jinja": "{{ messages }}",
            "generation_config.json": '{"eos_token_id": [1, 2], "temperature": 0.7}',
        },
        params=project.recipe(SIZES["tiny"]).quantization.model_dump(mode="json"),
        measurements={"scheme": "FP8_BLOCK", "fidelity": FIDELITY},
    )
    return ServedArtifact(project, SIZES["tiny"], model)


def write(character: ServedArtifact, folder: Path, **more: Any) -> Path:
    settings: dict[str, Any] = {
        "language": "en",
        "profile": "adopted",
        "scores": None,
        "scores_plot": None,
    }
    return export(character, folder, **settings | more)


def test_a_folder_is_written_whole(character: ServedArtifact, tmp_path: Path) -> None:
    picture = tmp_path / "scoreboard.png"
    picture.write_bytes(b"\x89PNG")
    out = write(character, tmp_path / "out", scores="| model |\n| --- |", scores_plot=picture)
    assert (out / "model.safetensors").read_text() == "weights"
    template = (out / "chat_template.jinja").read_text(encoding="utf-8")
    assert template.endswith("{{ messages }}")
    assert "You are xq7." in template
    config = json.loads((out / "generation_config.json").read_text())
    assert config == {
        "eos_token_id": [1, 2],
        "do_sample": True,
        "temperature": 0.5,
        "top_p": 0.8,
        "top_k": 20,
        "presence_penalty": 1.0,
    }
    assert (out / "plots" / "lora_adapter.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "plots" / "scoreboard.png").is_file()
    assert not (out / "manifest.json").exists()
    assert is_exported(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "out", "scoreboard.png"]


def test_names_on_the_card_are_text(character: ServedArtifact) -> None:
    """Whatever a corpus or a recipe calls things, the card has the lines and markup it always has.

    As a test of the test: the same names unescaped are found.
    """
    values = card_values(character, "en", "adopted", None) | {"scores_plot": None}
    wanted = render_card(values).splitlines()
    for payload in PAYLOADS:
        recipe = {"name": payload, "description": payload}
        named = {"title": payload, "character": payload, "recipe": recipe, "tools": payload}
        named["corpus"] = {**values["corpus"], "name": payload, "license": payload}
        lines = render_card(values | named).splitlines()
        assert len(lines) == len(wanted), payload
        assert yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))["license"] == "other"
        changed = [line for line, plain in zip(lines, wanted, strict=True) if line != plain]
        assert len(changed) >= 6, payload
        assert [line for line in changed if _has_markup(line)] == []
    assert sum(map(_has_markup, PAYLOADS)) > len(PAYLOADS) / 2


def _has_markup(line: str) -> bool:
    """Return whether a line has HTML, links, code, formulas or what a terminal obeys."""
    unescaped = re.sub(r"\\[\\`*_{}\[\]()#|~!$^=@]", "", line.removeprefix("# "))
    return bool(re.search(r"[<>`\[\]$]|://", unescaped)) or line != escape_control_chars(line)


def test_the_card_says_what_it_is(character: ServedArtifact, tmp_path: Path) -> None:
    card = (write(character, tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    for said in (
        'base_model: "Org/Base"\nbase_model_relation: quantized\n',
        "- compressed-tensors\n",
        f"commit `{'a' * 40}`",
        "4,200,000,000",
        "FP8_BLOCK",
        "| en | 0 | 0 | 2 |",
        "1,234 tokens",
        "9 steps, validation loss 9.000 to 6.500",
        "plots/lora_adapter.png",
        "| recipe | tiny: The embedded model",
        '"learning_rate": 0.001,',
        "0.975",
        TRUNCATED,
        "temperature 0.5, top_p 0.8",
        "## Licences",
        "## Intended use",
        f"| fp8_model[tiny] | `{character.artifact.digest}` |",
        "ms-swift 4.6.0",
    ):
        assert said in card, said
    # A made-up language's code is none that a hub knows.
    assert 'language:\n- "en"\ntags:' in card
    # The corpus is counted, not quoted.
    assert "Who mended the clock" not in card
    assert "scoreboard.png" not in card


def test_card_of_a_trained_model_is_the_one_agreed_on(
    character: ServedArtifact, snapshot: SnapshotAssertion
) -> None:
    values = card_values(character, "en", "adopted", "| model |\n| --- |")
    card = render_card(values | {"scores_plot": "plots/scoreboard.png"})
    # The day, and digests: those of tables hold for one version of Polars.
    card = card.replace(values["made"], "DAY")
    assert re.sub(r"`[0-9a-f]{8}(?:[0-9a-f]{8})?`", "`DIGEST`", card) == snapshot


def test_the_card_begins_with_the_model_s_own_answers_in_two_languages(
    character: ServedArtifact,
) -> None:
    model = character.artifact
    row = {"model": "fp8", "profile": "adopted", "seed": 1}
    said = [
        ("en", "Where is the clock?", "It's by the stair."),
        ("en", "And the lamp?", ""),
        ("en", "Who are you?", "Ada, <b>who</b> else?"),
        ("en", "Again?", "Not shown."),
        ("xq7", "Nu?", "Ta."),
    ]
    rows = [
        {**row, "language": code, "prompt": f"{code}{n}", "user": user, "text": text}
        for n, (code, user, text) in enumerate(said)
    ]
    with character.project.store.stage("generations") as folder:
        pl.DataFrame(rows).write_parquet(folder / "generations.parquet")
        told = {"inputs": {str(model.key): model.digest}, "params": {}, "measurements": {}}
        character.project.store.publish(folder, ArtifactKey("generations", "tiny"), told)
    values = card_values(character, "en", "adopted", None)
    card = render_card(values | {"scores_plot": None})
    for line in ("> **en** Where is the clock?", "> **Ada:** It's by the stair.",
                 "> **Ada:** Ada, &lt;b&gt;who&lt;/b&gt; else?", "> **xq7** Nu?"):  # fmt: skip
        assert line in card, line
    assert "Not shown" not in card
    assert card.index("It's by the stair") < card.index("base model")
    assert "4200.0 million parameters, a toy" in card
    assert "the questions above" in card
    # Another model's answers are not this one's.
    other = replace(character, artifact=replace(model, digest="0" * 16))
    assert exchanges(other, "en", "adopted") == []


def test_the_main_scores_are_those_of_the_model_as_it_is_served(tmp_path: Path) -> None:
    row = {"language": "(mean)", "served": True, "digest": "0123abcd", "score": "style"}
    rows = [
        {**row, "value": 0.7},
        {**row, "score": "rep4", "value": 0.25},
        {**row, "score": "loss", "value": 2.0},
        {**row, "language": "en", "value": 0.1},
        {**row, "served": False, "value": 0.2},
        {**row, "digest": "ffffffff", "value": 0.3},
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "scoreboard.parquet")
    found = main_scores(tmp_path, "0123abcd01234567")
    assert [(title, value) for title, value, _ in found] == [("Style", "0.700"), ("rep-4", "25.0%")]
    assert "AUC" in found[0][2]


def test_the_card_names_the_repository_and_the_licence_that_were_given(
    character: ServedArtifact, tmp_path: Path
) -> None:
    told = {"repository": "me/ada", "license_id": "cc-by-nc-4.0"}
    card = (write(character, tmp_path / "out", **told) / "README.md").read_text(encoding="utf-8")
    assert "vllm serve me/ada " in card
    assert '\nlicense: "cc-by-nc-4.0"\n' in card
    assert '\nlicense: "other"\n' in render_card(
        card_values(character, "en", "adopted", None) | {"scores_plot": None}
    )


def test_an_empty_folder_is_filled_where_it_is(
    character: ServedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    monkeypatch.chdir(tmp_path / "here")
    assert is_exported(write(character, Path()))
    assert "vllm serve here " in (Path.cwd() / "README.md").read_text(encoding="utf-8")
    write(character, tmp_path / "link")
    assert is_exported(tmp_path / "there")
    names = {path.name for path in (tmp_path / "there").iterdir()}
    assert names == {path.name for path in Path.cwd().iterdir()}
    assert not any(name.startswith(".") for name in names)


def test_the_card_names_no_recipe_that_the_model_was_not_made_with(
    character: ServedArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Project, "recipe", lambda *_: load_recipe("seed-v2"))
    recipe = card_values(character, "en", "adopted", None)["recipe"]
    assert recipe["name"] == "another than the project's now"


def test_the_card_of_a_base_model_claims_no_training(character: ServedArtifact) -> None:
    (base,) = character.project.store.artifacts("base_model")
    values = card_values(
        ServedArtifact(character.project, SIZES["tiny"], base), "en", "adopted", None
    )
    card = render_card(values | {"scores_plot": None})
    assert "as it was before any training" in card
    assert "made from the dialog" not in card
    assert "trained on" not in card
    assert "base_model_relation" not in card


def test_nothing_is_overwritten(character: ServedArtifact, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        write(character, tmp_path / "out")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        write(character, tmp_path / "file")


def test_a_failure_leaves_nothing_half_made(character: ServedArtifact, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no system prompt in 'xx'"):
        write(character, tmp_path / "out", language="xx")
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


class Hub(JsonHandler, BaseHTTPRequestHandler):
    """As much of a hub as an upload of small files talks to."""

    asked: list[tuple[str, str, bytes]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.path, self.headers.get("Authorization", ""), body))
        if self.status != 200:
            self.reply({"error": "no"}, self.status)
        elif self.path.endswith("/create"):
            url = f"http://{self.headers['Host']}/me/cyrene"
            self.reply({"url": url, "name": "me/cyrene"})
        elif "/preupload/" in self.path:
            files = [{**f, "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                     for f in json.loads(body)["files"]]  # fmt: skip
            self.reply({"files": [{k: f[k] for k in ("path", "uploadMode", "shouldIgnore", "oid")}
                                   for f in files]})  # fmt: skip
        else:
            url = f"http://{self.headers['Host']}/me/cyrene/commit/1"
            done = {"commitUrl": url, "commitOid": "1" * 40}
            self.reply({**done, "success": True, "hookOutput": "", "pullRequestUrl": None})


@pytest.fixture
def small_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    class One(Hub):
        asked: list[tuple[str, str, bytes]] = []  # noqa: RUF012

    with ThreadingHTTPServer(("127.0.0.1", 0), One) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv(hub.TOKEN, "hf_secret")
        yield One
        server.shutdown()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "cyrene"
    folder.mkdir()
    (folder / "README.md").write_text("A card.")
    return folder


def test_a_folder_is_uploaded_as_one_commit(small_hub: type[Hub], exported: Path) -> None:
    assert hub.push(exported, "me/cyrene", public=False).endswith("/commit/1")
    created = json.loads(small_hub.asked[0][2])
    assert created["name"] == "cyrene"
    assert created.get("private") is True or created.get("visibility") == "private"
    assert {header for _, header, _ in small_hub.asked} == {"Bearer hf_secret"}
    path, _, commit = small_hub.asked[-1]
    assert path.endswith("/api/models/me/cyrene/commit/main")
    assert b"README.md" in commit


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_may_not_write(small_hub: type[Hub], exported: Path, status: int) -> None:
    small_hub.status = status
    with pytest.raises(UserError, match=rf"HF_TOKEN has no write access .*\({status}\)") as e:
        hub.push(exported, "me/cyrene", public=True)
    assert "hf_secret" not in str(e.value)


def test_a_name_that_cannot_be(small_hub: type[Hub], exported: Path) -> None:
    with pytest.raises(UserError, match="is not a valid repository name"):
        hub.push(exported, "me/and/cyrene", public=False)


def test_no_hub_is_one_message(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv(hub.TOKEN, "hf_secret")
    with pytest.raises(BuildError, match=r"http://127\.0\.0\.1:\d+ could not be reached") as caught:
        hub.push(exported, "me/cyrene", public=False)
    assert "refused" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def fresh_client() -> Iterator[None]:
    """The hub's client looks for a proxy once only."""
    import huggingface_hub

    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


@pytest.mark.usefixtures("fresh_client")
@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_folder_is_uploaded_through_a_proxy(
    kind: str, small_hub: type[Hub], exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = os.environ["HF_ENDPOINT"].rpartition(":")[2]
    monkeypatch.setenv("HF_ENDPOINT", f"http://hub.example:{port}")
    with proxying(kind, ("me", "sesame")) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"{kind}://me:sesame@127.0.0.1:{proxy.port}")
        assert hub.push(exported, "me/cyrene", public=False).endswith("/commit/1")
        assert "hub.example" in proxy.hosts
    assert small_hub.asked


@pytest.mark.usefixtures("fresh_client")
def test_a_proxy_that_is_not_there_is_one_message(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hub.TOKEN, "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    monkeypatch.setenv("ALL_PROXY", f"socks5://me:sesame@127.0.0.1:{free_port()}")
    with pytest.raises(BuildError, match=r"could not be reached .*proxy of ALL_PROXY") as caught:
        hub.push(exported, "me/cyrene", public=False)
    assert "sesame" not in str(caught.value)


@pytest.mark.usefixtures("fresh_client")
def test_a_proxy_that_cannot_be_used_is_one_message(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hub.TOKEN, "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    monkeypatch.setenv("ALL_PROXY", f"gopher://me:sesame@127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match=r"cannot be reached through the proxy .*socks5") as caught:
        hub.push(exported, "me/cyrene", public=False)
    assert "sesame" not in str(caught.value)


def test_what_is_no_token_is_one_message(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hub.TOKEN, "hf_sécret")
    with pytest.raises(UserError, match="HF_TOKEN is not ASCII"):
        hub.push(exported, "me/cyrene", public=False)


def test_no_token_is_one_message(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hub.TOKEN, raising=False)
    with pytest.raises(UserError, match="set HF_TOKEN in the environment"):
        hub.push(exported, "me/cyrene", public=False)
