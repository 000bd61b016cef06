"""Many prompts: read from a file, asked some at a time, and written as they are answered, across interruptions."""

from langchain_darkai.bulk.answers import Answer
from langchain_darkai.bulk.report import BatchReport
from langchain_darkai.bulk.rows import MalformedRow
from langchain_darkai.bulk.running import arun_batch, run_batch

__all__ = ["Answer", "BatchReport", "MalformedRow", "arun_batch", "run_batch"]
