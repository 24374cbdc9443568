"""Templates to text, and Markdown to HTML, whatever is put into them.

What is in a module may be a stranger's: it comes out as code or as plain text, never as markup.
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

from slimhub.signatures.printable import printable

# What Markdown may take for more than text; a dot does so only behind a number at the begin of a line.
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>()#+!|~&\"-]|(?<=\d)[.](?=\s))")

# Of what is shown at once; longer ones scroll by themselves.
_MOST_LINES = 40


def render(template: str, **values) -> str:
    """A template of `templates/`; in HTML, values are escaped."""
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("slimhub.export.hub"),
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
    """Markdown that shows it as code, whatever it is."""
    shown = printable(str(value))
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if shown[:1] in ("", "`", " ") or shown[-1:] in ("`", " ") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def cell(value) -> str:
    """As `code`, in a table, where a bar would begin the next cell."""
    return code(value).replace("|", r"\|")


def text(value) -> str:
    """Markdown that shows it as plain text, whatever it is."""
    return _PUNCTUATION.sub(r"\\\1", printable(str(value)))


def listing(lines: Iterable[str]) -> str:
    """Markdown that shows lines as they are, whatever is in them."""
    shown = "\n".join(map(printable, lines))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def shape(sizes: Iterable[int | None]) -> str:
    """As messages have it: `[?, 1024]`."""
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"


def breakable(value, *, behind: str = "/") -> markupsafe.Markup:
    """HTML of plain text whose lines may end behind this character: handles are long, phones narrow."""
    return markupsafe.Markup("<wbr>").join(re.split(f"(?<={behind})", str(value)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Html:
    """What became of Markdown: HTML, and the ids and texts of its second headings."""

    body: markupsafe.Markup
    headings: tuple[tuple[str, str], ...]


def to_html(markdown: str) -> Html:
    """CommonMark with tables to HTML; HTML in it is shown as text."""
    parser = _parser()
    tokens = parser.parse(markdown)
    headings, ids = [], collections.Counter()
    for token, content in itertools.pairwise(tokens):
        # Those within quotations are not of the page's outline.
        if token.type == "heading_open" and token.level == 0:
            shown = _plain(content)
            id = "-".join(re.findall("[a-z0-9_]+", shown.lower()))
            ids[id] += 1
            id += f"-{ids[id]}" if ids[id] > 1 else ""
            token.attrSet("id", id)
            if token.tag == "h2":
                headings.append((id, shown))
    for token in tokens:
        # Of a table's column: pages allow no styles of their own.
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
    parser.add_render_rule("text", lambda _, tokens, at, *others: breakable(tokens[at].content))
    parser.add_render_rule("code_inline", _code_inline)
    return parser


def _plain(token: Token) -> str:
    """What can be read of a line."""
    return "".join(part.content for part in token.children or ())


def _table_open(self, tokens: list[Token], at: int, options, env) -> str:
    # What is wider than a phone scrolls by itself, also by keyboard: there, headings tell which it is.
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
