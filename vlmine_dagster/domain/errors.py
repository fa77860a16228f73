"""Every error that vlmine raises on purpose.

VlmineError
├── ConfigError           a setting or an argument is wrong; the user edits something
├── ContractError         data given to a function or a table breaks its contract
│   ├── ExpectationError  a Great Expectations suite failed critically, nothing was published
│   ├── MixedVariantsError  shards of one pool were made by different models, prompts or keyworders
│   ├── CutSequencesError   labelled frames of one recording are in several splits
│   └── UnseenPicturesError  a model described pictures that it did not get
├── SourceError           a dataset, shard or label file cannot be read
│   ├── StoreError        a disk or a store fails in another way than that a file is missing or forbidden
│   │   └── ReplacedError another machine replaced what was being read
│   └── PictureError      one image cannot be decoded; it becomes a row with an outcome and never ends a run
├── MissingInputError     an upstream table, shard or model is not there yet
├── ModelError            weights are missing, unreadable or do not fit
├── BudgetExceededError   max_cost_usd is reached; what was paid for is kept
├── CacheError            the response cache cannot be read or written
├── LakeError             the lake cannot be written; what was published before is whole
├── TooManyFailuresError  the share of failed images in a shard passed the limit
└── TrackingError         the MLflow server cannot be reached or refuses

LakeError, StoreError and TrackingError may pass by themselves: Dagster tries again what failed so, and nothing else.
A message says where, what it got, what it expected, and what to do. Secrets never appear in one.
"""

from typing import ClassVar

from vlmine_dagster.domain.secrets import masked


class VlmineError(Exception):
    """Base of every error that vlmine raises on purpose.

    Attributes:
        is_passing: Whether it may be over in a minute, with nobody doing anything: a network or a server that is gone.
    """

    is_passing: ClassVar[bool] = False

    def __init__(self, *arguments: object):
        super().__init__(*(masked(one) if isinstance(one, str) else one for one in arguments))


class ConfigError(VlmineError):
    """A setting or an argument is wrong."""


class ContractError(VlmineError):
    """Data breaks the contract of a function or a table."""


class ExpectationError(ContractError):
    """A critical expectation failed; the table was not published."""


class MixedVariantsError(ContractError):
    """Shards of one pool were made by different models, prompts or keyworders."""


class CutSequencesError(ContractError):
    """Labelled frames of one recording are in several splits."""


class UnseenPicturesError(ContractError):
    """A model described pictures that it did not get."""


class SourceError(VlmineError):
    """A dataset, shard or label file cannot be read."""


class StoreError(SourceError):
    """A disk or a store fails in another way than that a file is missing or forbidden."""

    is_passing = True


class ReplacedError(StoreError):
    """Another machine replaced what was being read; reading again gives the new one."""


class PictureError(SourceError):
    """One image cannot be decoded; it becomes a row with an outcome and never ends a run."""


class MissingInputError(VlmineError):
    """An upstream table, shard or model is not there yet."""


class ModelError(VlmineError):
    """Model weights are missing, unreadable or do not fit."""


class BudgetExceededError(VlmineError):
    """The project has spent what it may on paid models; everything paid for is kept."""


class CacheError(VlmineError):
    """The response cache cannot be read or written."""


class LakeError(VlmineError):
    """The lake cannot be written; what was published before is whole."""

    is_passing = True


class TooManyFailuresError(VlmineError):
    """The share of failed images in a shard passed the configured limit."""


class TrackingError(VlmineError):
    """The MLflow tracking server cannot be reached or refuses."""

    is_passing = True
