"""A model's own markup, read: text in, the deltas that a server would have streamed out."""

from langchain_toolstream.core.markup.formats import AUTO, FORMATS, check_format
from langchain_toolstream.core.markup.reader import MarkupReader

__all__ = ["AUTO", "FORMATS", "MarkupReader", "check_format"]
