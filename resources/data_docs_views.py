"""How Data Docs pages look: Great Expectations' content in pages that load nothing from the network.

Its own pages ask ten hosts for styles and scripts, one of them for a picture under the id of the data context, and
show values of a table as they are, markup included. Great Expectations loads these classes by name; nothing else
imports this module, which imports all of it.
"""

import html
from typing import Any

from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import BytecodeCache, ChoiceLoader, PackageLoader, pass_context
from jinja2.bccache import Bucket

from vlmine_dagster.resources.visible import visible_text


class _Compiled(BytecodeCache):
    """Templates that were compiled in this process: each section of each site would compile them again."""

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._codes:
            bucket.bytecode_from_string(self._codes[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


class OfflinePageView(DefaultJinjaPageView):  # type: ignore[misc]
    """A page for a suite or a validation result."""

    def __init__(self, **styles: Any) -> None:
        super().__init__(**styles)
        ours = PackageLoader("vlmine_dagster.resources", "data/data_docs")
        self.env.loader = ChoiceLoader([ours, self.env.loader])
        self.env.bytecode_cache = _COMPILED

    @pass_context
    def render_content_block(self, context: Any, content_block: Any, *args: Any, **options: Any) -> Any:
        """Return a block as HTML; plain text, which may be a value of the table, is escaped."""
        if isinstance(content_block, str):
            return html.escape(visible_text(content_block))
        return super().render_content_block(context, content_block, *args, **options)


class OfflineIndexView(OfflinePageView):
    """The index page."""

    _template = "index_page.j2"
