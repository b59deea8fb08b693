"""Tool calls while they are written, field by field, as what they will be."""

from langchain_toolstream.parsers.partial.parser import PartialToolsParser
from langchain_toolstream.parsers.partial.picks import ListItems, TextPieces
from langchain_toolstream.parsers.partial.view import ToolCallView

__all__ = ["ListItems", "PartialToolsParser", "TextPieces", "ToolCallView"]
