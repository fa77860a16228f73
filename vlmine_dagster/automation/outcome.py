"""What a run did, for people and for `--json`."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        materialized: (asset, partition) pairs that were made.
        fresh_count: Pairs that were fresh already.
        failures: What failed, by (asset, partition).
        waiting: Why assets had to wait, by asset.
        skipped: Why stages do not apply, by table; not of those that nobody asked for.
        stopped: Why the run was stopped early, empty where it was not.
        is_interrupted: Whether that was Ctrl-C, or another signal that asks a process to end.
    """

    materialized: list[tuple[str, str]] = field(default_factory=list)
    fresh_count: int = 0
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    is_interrupted: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether everything asked for is fresh now."""
        return not self.failures and not self.waiting and not self.is_interrupted
