"""Pages and cards for people, rendered by Jinja from the templates of the package.

A template is in the folder `templates` of the room that fills it, and is named by its path in the
package: `monitoring/templates/drift.html`. Pages extend `core/templates/base.html`, which holds the
one stylesheet, so that a page needs nothing else and fetches nothing.
"""

from __future__ import annotations

import functools

import jinja2


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("shelfmark", ""),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: object) -> str:
    """Return a template filled with values; in HTML, every value is escaped.

    Args:
        template: its path in the package, such as `reports/templates/report.html`.
        values: the variables of the template; a missing one is an error.
    """
    return _environment().get_template(template).render(values)
