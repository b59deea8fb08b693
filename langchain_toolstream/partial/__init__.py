"""Tool calls while they are written, field by field, as what they will be."""

from langchain_toolstream.partial._parser import PartialToolsParser
from langchain_toolstream.partial._picks import ListItems, TextPieces
from langchain_toolstream.partial._view import ToolCallView

__all__ = ["ListItems", "PartialToolsParser", "TextPieces", "ToolCallView"]
