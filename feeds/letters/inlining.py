"""CSS rules of a user's own template > the style of the elements they mean. Pure.

Some mail programs drop style sheets; those that read them keep what can't be inlined, as `@media`.
css-inline is imported when a user's template is met, not before (saves 0.01 s): the shipped one has
its styles inline.
"""

from __future__ import annotations

import re

from feeds.errors import TemplateError

_RULES = re.compile(r"<style\b", re.IGNORECASE)


def inlined(html: str) -> str:
    """Return a page whose style sheets joined its elements; nothing is loaded from elsewhere.

    Raises:
        TemplateError: a style sheet can't be read.
    """
    if not _RULES.search(html):
        return html
    import css_inline  # noqa: PLC0415 -- only for a user's own template; see the module's docstring

    inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
    try:
        return inliner.inline(html)
    except css_inline.InlineError as error:
        raise TemplateError("letter.html", None, f"its style sheet: {error}") from error
