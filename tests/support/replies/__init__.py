"""The table of replies: what models write, and the message that each must give.

The shapes are those that models really write; the texts are our own. The tests of reading replies run over this table:
whole, in pieces, through the parser alone and through ChatDarkAI. A surprise becomes a new row.
"""

from tests.support.replies.asked_for import ARGUMENTS, BLOCKS
from tests.support.replies.case import (
    ADD,
    ADD_BLOCK,
    ANY,
    AUTO,
    LONG,
    NOW_BLOCK,
    TOOLS,
    WEATHER,
    Case,
    bare,
    block,
    forced,
)
from tests.support.replies.formats import FORMATS
from tests.support.replies.nearly import ABOUT, ANNOUNCED, LAYOUT, STRIPPED
from tests.support.replies.others import BROKEN, FORCED, MADE_UP, PROSE
from tests.support.replies.shown import SHOWN, TAGS, THOUGHTS
from tests.support.replies.vendors import TAGGED
from tests.support.replies.whole import QUOTED, WHOLE

CASES = [
    *(*BLOCKS, *ARGUMENTS, *TAGGED, *WHOLE, *QUOTED, *BROKEN, *MADE_UP, *FORCED, *PROSE),
    *(*FORMATS, *THOUGHTS, *SHOWN, *TAGS, *LAYOUT, *ABOUT, *STRIPPED, *ANNOUNCED),
]

__all__ = [
    "ADD",
    "ADD_BLOCK",
    "ANY",
    "AUTO",
    "CASES",
    "LONG",
    "NOW_BLOCK",
    "TOOLS",
    "WEATHER",
    "Case",
    "bare",
    "block",
    "forced",
]
