"""Steps that read a stream, and messages of LangChain in the terms of the core."""
