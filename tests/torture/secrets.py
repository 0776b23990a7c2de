"""Secrets that are planted into builds, and looked for in all that they leave."""

from collections.abc import Iterable, Iterator
from pathlib import Path

SECRETS = {
    name: f"planted-{number}-5f0c9d17a3e84b62"
    for number, name in enumerate(
        ("HF_TOKEN", "WANDB_API_KEY", "SWANLAB_API_KEY", "CYRENE_API_KEY", "AWS_SECRET_ACCESS_KEY")
    )
}


def holding(folder: Path, secrets: Iterable[str]) -> Iterator[Path]:
    """Yield the files below a folder, databases and all, that hold one of the secrets."""
    wanted = [secret.encode() for secret in secrets]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(secret in content for secret in wanted):
                yield path
