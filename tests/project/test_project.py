import os
from pathlib import Path

import pytest
from mini_corpus import write_corpus

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.project.folders import PROJECT_ROOT
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import BaseModelSource, ProjectFile
from cyrene_assets.utils.errors import UserError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CYRENE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("CYRENE_CORPORA", raising=False)
    return tmp_path / "home"


def test_without_a_file_the_defaults_hold(home: Path) -> None:
    project = Project.load()
    assert project.home == home
    assert project.settings == ProjectFile()
    assert project.dagster_home == home / "dagster"
    assert project.store.root == home / "store"
    assert project.corpus_folder == PROJECT_ROOT / "corpora" / "sample"
    assert project.corpus.name == "The Long Candle"
    assert project.recipe(SIZES["tiny"]).name == "tiny"
    assert not home.exists()


def test_the_home_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ("somewhere", None, ""):
        if value is None:
            monkeypatch.delenv("CYRENE_HOME")
        else:
            monkeypatch.setenv("CYRENE_HOME", value)
        assert Project.load().home == tmp_path / (value or ".cyrene")
    monkeypatch.setenv("CYRENE_HOME", "~/project")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Project.load().home == tmp_path / "project"


def test_dagster_home_is_the_environments(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home.parent / "instance"))
    assert Project.load().dagster_home == home.parent / "instance"


def test_what_is_saved_is_read(home: Path) -> None:
    settings = ProjectFile(
        corpus="sample",
        recipes={"tiny": "tiny"},
        base_models={"4B": BaseModelSource(path="/models/四")},
        pins={"Qwen/Qwen3.5-4B-Base": "a" * 40},
    )
    assert Project.load().save(settings).settings == settings
    assert Project.load().settings == settings
    assert [path.name for path in home.iterdir()] == ["project.yaml"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("corpse: sample\n", ["corpse", "sample"]),
        ("recipes: {5B: tiny}\n", ["recipes", "`5B` is an unknown size", "tiny, 0.8B, 2B, 4B, 9B"]),
        ("base_models: {huge: {path: x}}\n", ["base_models", "`huge` is an unknown size"]),
        ("hub: github\n", ["hub", "'huggingface' or 'modelscope'"]),
        ("base_models: {4B: {path: /m, hub: modelscope}}\n", ["base_models", "without repository"]),
        ("corpus: [sample]\n", ["corpus", '["sample"]']),
        ("corpus: {\n", ["not valid YAML"]),
        ("corpus: ..\n", ["corpus", "write that of a folder"]),
        ("corpus: ''\n", ["corpus", "write that of a folder"]),
        ("- corpus\n", ["(the complete file)"]),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(home: Path, text: str, words: list[str]) -> None:
    home.mkdir()
    (home / "project.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        Project.load()
    assert str(home / "project.yaml") in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_cannot_be_read(home: Path) -> None:
    (home / "project.yaml").mkdir(parents=True)
    with pytest.raises(UserError, match=r"project\.yaml: cannot be read"):
        Project.load()
    (home / "project.yaml").rmdir()
    (home / "project.yaml").write_bytes(b"corpus: \xff\n")
    with pytest.raises(UserError, match=r"project\.yaml:1: not UTF-8 at byte 8"):
        Project.load()


def test_a_home_that_cannot_be_written(home: Path) -> None:
    home.write_text("a file in the way", encoding="utf-8")
    with pytest.raises(UserError, match="expected a folder, found a file"):
        Project.load().save(ProjectFile())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_home_that_denies_access(home: Path) -> None:
    home.mkdir(mode=0o700)
    home.parent.chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(UserError, match="denies access"):
            Project.load()
        with pytest.raises(UserError, match="denies access"):
            Project(home, ProjectFile()).save(ProjectFile())
    finally:
        os.seteuid(0)


def test_a_corpus_is_a_name_or_a_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpora = home.parent / "corpora"
    mini = write_corpus(corpora / "mini")
    project = Project.load()
    by_path = Project(home, project.with_corpus(str(mini)))
    assert by_path.settings.corpus == str(mini)
    assert by_path.corpus.name == "Mini"
    monkeypatch.chdir(corpora)
    assert project.with_corpus("mini").corpus == str(mini)
    assert project.with_corpus("./mini").corpus == str(mini)
    monkeypatch.chdir(home.parent)
    with pytest.raises(UserError, match="no corpus 'mini'"):
        project.with_corpus("mini")
    monkeypatch.setenv("CYRENE_CORPORA", str(corpora))
    by_name = Project(home, project.with_corpus("mini"))
    assert by_name.settings.corpus == "mini"
    assert by_name.corpus_folder == mini


def test_a_missing_corpus_names_both_places(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Project.load().with_corpus("nowhere")
    assert str(PROJECT_ROOT / "corpora" / "nowhere") in str(caught.value)
    assert str(Path("nowhere").absolute()) in str(caught.value)
    gone = Project(home, ProjectFile(corpus=str(tmp_path / "gone")))
    with pytest.raises(UserError, match=r"gone: no such corpus folder; a corpus is a folder with"):
        _ = gone.corpus


def test_a_recipe_is_a_name_or_a_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.load()
    assert project.with_recipe(SIZES["tiny"], "tiny").recipes == {"tiny": "tiny"}
    own = home.parent / "own.yaml"
    own.write_text((PROJECT_ROOT / "cyrene_assets/recipes/tiny.yaml").read_text("utf-8"), "utf-8")
    monkeypatch.chdir(home.parent)
    assert project.with_recipe(SIZES["4B"], "own.yaml").recipes == {"4B": str(own)}
    both = Project(home, project.with_recipe(SIZES["4B"], "own.yaml")).with_recipe(
        SIZES["tiny"], "tiny"
    )
    assert both.recipes == {"4B": str(own), "tiny": "tiny"}
    with pytest.raises(UserError, match="unknown recipe 'seed-v9': give one of"):
        project.with_recipe(SIZES["4B"], "seed-v9")


def test_where_base_models_come_from(home: Path) -> None:
    project = Project.load()
    assert project.base_model(SIZES["tiny"]) == BaseModelSource()
    assert project.base_model(SIZES["4B"]).repository == "Qwen/Qwen3.5-4B-Base"
    local = Project(home, ProjectFile(base_models={"4B": BaseModelSource(path="/m")}))
    assert local.base_model(SIZES["4B"]) == BaseModelSource(path="/m")


def test_base_models_come_from_the_projects_hub_or_their_own(home: Path) -> None:
    (home).mkdir()
    (home / "project.yaml").write_text(
        "hub: modelscope\n"
        "base_models:\n"
        "  2B: {hub: huggingface}\n"
        "  9B: {repository: Mine/Other}\n"
        "  tiny: {path: /m}\n"
    )
    project = Project.load()
    sources = {size: project.base_model(SIZES[size]) for size in ("2B", "4B", "9B", "tiny")}
    assert {size: source.hub for size, source in sources.items()} == {
        "2B": "huggingface", "4B": "modelscope", "9B": "modelscope", "tiny": None
    }  # fmt: skip
    # A commit is one of its hub's: the pin of one is not taken for the other's.
    assert [sources[size].pin for size in ("2B", "4B", "9B")] == [
        "Qwen/Qwen3.5-2B-Base", "modelscope:Qwen/Qwen3.5-4B-Base", "modelscope:Mine/Other"
    ]  # fmt: skip
    assert Project.load().save(project.settings).settings == project.settings


def test_a_recipe_may_start_from_the_instruct_model(home: Path) -> None:
    own = home.parent / "own.yaml"
    text = (PROJECT_ROOT / "cyrene_assets/recipes/tiny.yaml").read_text("utf-8")
    own.write_text(text.replace("starts_from: base", "starts_from: instruct"), "utf-8")
    recipes = {"4B": str(own), "tiny": str(own)}
    project = Project(home, ProjectFile(recipes=recipes))
    assert project.base_model(SIZES["4B"]).repository == "Qwen/Qwen3.5-4B"
    with pytest.raises(UserError, match=r"tiny has none: give `starts_from: base`"):
        project.base_model(SIZES["tiny"])
    named = {"tiny": BaseModelSource(path="/m")}
    local = Project(home, ProjectFile(recipes=recipes, base_models=named))
    assert local.base_model(SIZES["tiny"]) == BaseModelSource(path="/m")


def test_a_recipe_that_is_not_there_is_named_with_its_line(home: Path) -> None:
    home.mkdir()
    (home / "project.yaml").write_text("corpus: sample\nrecipes:\n  4B: tinny\n", encoding="utf-8")
    project = Project.load()
    with pytest.raises(UserError) as caught:
        project.recipe(SIZES["4B"])
    assert str(caught.value).startswith(
        f"{home / 'project.yaml'}:3: recipes.4B: unknown recipe 'tinny': give one of "
    )
    assert project.recipe(SIZES["tiny"]).name == "tiny"


def test_services_to_report_to(home: Path) -> None:
    assert Project.load().settings.report_to == ()
    Project.load().save(ProjectFile(report_to=("wandb", "swanlab")))
    assert Project.load().settings.report_to == ("wandb", "swanlab")
    (home / "project.yaml").write_text("report_to: [carrier-pigeon]\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"report_to\.0.*carrier-pigeon.*'wandb' or 'swanlab'"):
        Project.load()


def test_a_checkpoint_to_evaluate_is_remembered_by_name(home: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    project = Project.load()
    with pytest.raises(UserError, match=r"model holds no model: there is no config\.json"):
        project.with_checkpoint("mine", tmp_path / "model", SIZES["tiny"])
    (tmp_path / "model" / "config.json").write_text("{}")
    settings = project.with_checkpoint("step-200", tmp_path / "model", SIZES["tiny"])
    saved = project.save(settings)
    assert Project.load().settings == saved.settings
    source = saved.settings.checkpoints["step-200"]
    assert (source.path, source.size) == (str(tmp_path / "model"), "tiny")


@pytest.mark.parametrize("name", ["fp8", "real lines", "a|b", "", "a,b"])
def test_a_checkpoint_is_not_called_what_means_something_else(
    home: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be called"):
        Project.load().with_checkpoint(name, tmp_path, SIZES["tiny"])
