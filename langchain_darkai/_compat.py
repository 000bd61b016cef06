"""Names that older versions of langchain-core do not have."""

from langchain_core.exceptions import ModelError

try:
    from langchain_core.exceptions import ModelRefusalError
except ImportError:  # before 1.7.5
    ModelRefusalError = type("ModelRefusalError", (ModelError,), {})  # type: ignore[assignment,misc]

__all__ = ["ModelRefusalError"]
