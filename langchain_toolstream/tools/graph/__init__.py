"""Tools in LangGraph: a node for a `ToolSet`, and tools that start while a model writes."""
