"""Room 3: articles into topics. Pure; the caller reads the files that `load` takes.

In: an article's text. Out: its IPTC Media Topics with probabilities, whether they are uncertain, and
why. To add a classifier: a module with the names of `Classifier`, and its name in `CLASSIFIERS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from feeds.errors import NotFoundError
from feeds.model import Classification
from feeds.topics import additive
from feeds.topics.shipped import Model, load

__all__ = ["CLASSIFIERS", "Classifier", "Model", "classify", "load"]


class Classifier(Protocol):
    """What a module must have to stand in `CLASSIFIERS`."""

    @property
    def NAME(self) -> str:  # noqa: N802 -- a constant of a module
        """What configuration calls it."""

    def classify(
        self,
        model: Model,
        title: str,
        paragraphs: Iterable[str],
        lang: str | None = None,
        *,
        evidence: bool = False,
    ) -> Classification:
        """Return the topics of an article."""


CLASSIFIERS: tuple[Classifier, ...] = (additive,)
"""The classifiers; the first is the default."""


def classify(  # noqa: PLR0913 -- what a classifier takes, and its name
    model: Model,
    title: str,
    paragraphs: Iterable[str],
    lang: str | None = None,
    *,
    evidence: bool = False,
    by: str | None = None,
) -> Classification:
    """Return the topics of an article by the classifier named `by`, else by the first.

    Topics are empty only when the text gives no evidence at all; the distribution is then even.
    Evidence, if wanted, is signed and in log-odds, the largest first.

    Raises:
        NotFoundError: there is no classifier `by`.
    """
    for classifier in CLASSIFIERS:
        if by in {None, classifier.NAME}:
            return classifier.classify(model, title, paragraphs, lang, evidence=evidence)
    raise NotFoundError("classifier", str(by), [classifier.NAME for classifier in CLASSIFIERS])
