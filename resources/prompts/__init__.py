"""Prompts: text files whose names end in a version. A changed text is a new file; hashes cover the text itself."""

from importlib.resources import files

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.settings.project import Project

PLACEHOLDER = "{description}"


def shipped_prompts() -> list[str]:
    """Return the names of the prompts that come with vlmine."""
    return sorted(file.name.removesuffix(".md") for file in files(__name__).iterdir() if file.name.endswith(".md"))


def load_prompt(project: Project, name: str, *, takes_description: bool = False) -> str:
    """Return the text of a prompt.

    Args:
        project: Relative paths start at its folder.
        name: Name of a shipped prompt, for which the medium may have a text of its own, or path of a text file.
        takes_description: Whether the text must say where the description goes.

    Raises:
        ConfigError: there is no such prompt, it is empty, or `{description}` is missing.
    """
    of_medium = project.settings.dataset.medium.prompts
    if name in of_medium:
        text = of_medium[name]
    elif name in shipped_prompts():
        text = files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8")
    else:
        text = _own(project, name)
    if not text.strip():
        raise ConfigError(f"prompt {name} is empty.")
    if takes_description and PLACEHOLDER not in text:
        raise ConfigError(f"prompt {name} does not say where the description goes: write {PLACEHOLDER} into it.")
    return text.strip()


def _own(project: Project, name: str) -> str:
    path = project.folder / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"there is no prompt {name!r}: no text file at {path} ({type(error).__name__}), and none comes with vlmine "
            f"by that name. There are: {', '.join(shipped_prompts())}."
        ) from error
