"""Room 2: a reading as the JSON object of `feeds check --json`. Pure."""

from __future__ import annotations

from feeds.model import Article, Reading


def as_json(name: str, reading: Reading) -> dict[str, object]:
    """Return what was made of the file `name`, in types of JSON.

    Times are RFC 3339 with the digest's offset; `score` is rounded to four digits.
    """
    return {
        "file": name,
        "outcome": reading.outcome.value,
        "format": reading.format,
        "score": round(reading.score, 4),
        "reason": reading.reason,
        "detail": reading.detail,
        "warnings": list(reading.warnings),
        "leftovers": [{"line": left.line, "text": left.text} for left in reading.leftovers],
        "articles": [_article(article) for article in reading.articles],
    }


def _article(article: Article) -> dict[str, object]:
    return {
        "title": article.title,
        "paragraphs": list(article.paragraphs),
        "published": article.published.isoformat() if article.published else None,
        "precision": article.precision.value if article.precision else None,
        "date_source": article.date_source.value,
        "between": [moment.isoformat() for moment in article.between] if article.between else None,
        "views": article.views,
        "photo_credit": article.photo_credit,
        "source": article.source,
        "dateline": article.dateline,
        "author": article.author,
        "url": article.url,
        "lang": article.lang,
        "truncated": article.truncated,
        "line": article.line,
    }
