"""Templates to Markdown and HTML, and Markdown to HTML.

Values may come from a module of a stranger: they are shown as code or as plain text, never as markup.
"""

import collections
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable

import jinja2
import markdown_it
import markupsafe
from markdown_it.token import Token
from rich import filesize

from slimhub.support.printable import printable

# Characters with a meaning in Markdown; a dot has one after a number at the beginning of a line.
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>()#+!|~&\"-]|(?<=\d)[.](?=\s))")

# Longer listings scroll by themselves.
_MOST_LINES = 40


def render(template: str, **values) -> str:
    """Fill in a template of `templates/`; in HTML, values are escaped."""
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("slimhub.hub"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=lambda name: name is not None and ".html" in name,
    )
    environment.filters |= {
        "cell": cell,
        "code": code,
        "text": text,
        "listing": listing,
        "breakable": breakable,
        "shape": shape,
        "size": filesize.decimal,
        "number": "{:,}".format,
    }
    return environment


def code(value) -> str:
    """Return Markdown that shows any value as code."""
    shown = printable(str(value))
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if shown[:1] in ("", "`", " ") or shown[-1:] in ("`", " ") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def cell(value) -> str:
    """Return Markdown that shows any value as code in a table, where a bar would begin the next cell."""
    return code(value).replace("|", r"\|")


def text(value) -> str:
    """Return Markdown that shows any value as plain text."""
    return _PUNCTUATION.sub(r"\\\1", printable(str(value)))


def listing(lines: Iterable[str]) -> str:
    """Return Markdown that shows any lines as they are."""
    shown = "\n".join(map(printable, lines))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def shape(sizes: Iterable[int | None]) -> str:
    """Return a shape as messages have it: `[?, 1024]`."""
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"


def breakable(value, *, behind: str = "/") -> markupsafe.Markup:
    """Return HTML of plain text whose lines may break after a character, as for handles on phones."""
    return markupsafe.Markup("<wbr>").join(re.split(f"(?<={behind})", str(value)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Html:
    """HTML of a Markdown text, and the ids and texts of its second headings."""

    body: markupsafe.Markup
    headings: tuple[tuple[str, str], ...]


def to_html(markdown: str) -> Html:
    """Return HTML of CommonMark with tables; HTML in it is shown as text."""
    parser = _parser()
    tokens = parser.parse(markdown)
    headings: list[tuple[str, str]] = []
    ids: collections.Counter[str] = collections.Counter()
    for token, content in itertools.pairwise(tokens):
        # Headings in quotations do not belong to the page's outline.
        if token.type == "heading_open" and token.level == 0:
            shown = _plain(content)
            id = "-".join(re.findall("[a-z0-9_]+", shown.lower()))
            ids[id] += 1
            id += f"-{ids[id]}" if ids[id] > 1 else ""
            token.attrSet("id", id)
            if token.tag == "h2":
                headings.append((id, shown))
    for token in tokens:
        # The alignment of a table's column: pages allow no inline styles.
        if token.attrs.pop("style", None) == "text-align:right":
            token.attrSet("class", "number")
    body = parser.renderer.render(tokens, parser.options, {})
    return Html(body=markupsafe.Markup(body), headings=tuple(headings))


@functools.cache
def _parser() -> markdown_it.MarkdownIt:
    parser = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("text", lambda _, tokens, at, *_rest: breakable(tokens[at].content))
    parser.add_render_rule("code_inline", _code_inline)
    return parser


def _plain(token: Token) -> str:
    """Return the text of a line, without its markup."""
    return "".join(part.content for part in token.children or ())


def _table_open(self, tokens: list[Token], at: int, options, env) -> str:
    # Wide tables scroll by themselves, also by keyboard; the heading tells which one has the focus.
    pairs = itertools.pairwise(tokens[:at])
    headings = [content for token, content in pairs if token.type == "heading_open"]
    label = markupsafe.escape(f"Table: {_plain(headings[-1])}" if headings else "Table")
    return f'<div class="scroll" role="group" aria-label="{label}" tabindex="0"><table>\n'


def _fence(self, tokens: list[Token], at: int, options, env) -> str:
    language = tokens[at].info.strip() or "text"
    content = markupsafe.escape(tokens[at].content)
    size = ' class="long"' if content.count("\n") > _MOST_LINES else ""
    return f'<pre tabindex="0"{size}><code class="language-{language}">{content}</code></pre>\n'


def _code_inline(self, tokens: list[Token], at: int, options, env) -> str:
    content = tokens[at].content
    return f"<code>{breakable(content, behind='/' if '/' in content else '_')}</code>"


def _image(self, tokens: list[Token], at: int, options, env) -> str:
    source, label = tokens[at].attrGet("src"), markupsafe.escape(_plain(tokens[at]))
    title = tokens[at].attrGet("title")
    image = f'<img src="{markupsafe.escape(source)}" alt="{label}" loading="lazy">'
    if title is None:
        return image
    caption = f"<code>{breakable(title)}</code>"
    return f'<span class="figure"><span class="caption">{caption}</span>{image}</span>'
