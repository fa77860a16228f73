"""Reading the answer to a question that takes yes or no."""

import regex

from vlmine_dagster.mining.answers import Judgement
from vlmine_dagster.mining.failures import failure_of
from vlmine_dagster.mining.grounding import NO, YES
from vlmine_dagster.mining.thoughts import without_thought

_FIRST_WORD = regex.compile(r"[\W_]*(?:(?:final )?answer\W+)?(yes|no)\b(?!-)", regex.IGNORECASE)
_OTHER = {
    YES: regex.compile(r"\bno\b(?! (?:doubt|question))", regex.IGNORECASE),
    NO: regex.compile(r"\byes\b", regex.IGNORECASE),
}
_FIELD = regex.compile(r"[\"']?\w+[\"']?\s*:\s*")


def judge_confirmation(text: str) -> Judgement:
    """Judge an answer that should be yes or no; the answer is its only keyword.

    Examples:
        >>> judge_confirmation("Yes.").keywords, judge_confirmation("**No**, that is a bicycle.").keywords
        (('yes',), ('no',))
        >>> judge_confirmation("It is hard to tell.").outcome, judge_confirmation("").outcome
        ('unparseable', 'empty')
        >>> judge_confirmation("Sorry, I cannot help with that.").outcome
        'refused'
    """
    answer = without_thought(text)
    if answer.is_open:
        return Judgement("truncated", "the thought did not end, so there is no answer: raise max_output_tokens")
    reply = answer.text.strip().strip("{}").strip()
    if not reply:
        return Judgement("empty", "the answer is empty")
    found = _FIRST_WORD.match(_FIELD.sub("", reply, count=1)) or _FIRST_WORD.match(reply)
    if found is None:
        failed = failure_of(reply)
        if failed is not None and failed.outcome in ("refused", "not_seen"):
            return Judgement(failed.outcome, failed.reason)
        return Judgement("unparseable", "the answer is neither yes nor no")
    word = found.group(1).lower()
    first_sentence = regex.split(r"[.!?\n]", reply, maxsplit=1)[0]
    if _OTHER[word].search(first_sentence):
        return Judgement("unparseable", "the answer is both yes and no")
    return Judgement(keywords=(word,))
