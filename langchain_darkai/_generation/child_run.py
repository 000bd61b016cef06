"""The callbacks of a run within a model's run, which langchain_core makes for chains and tools only."""

from langchain_core.callbacks import AsyncCallbackManager
from langchain_core.callbacks.manager import BaseRunManager


def child_callbacks(run: BaseRunManager) -> AsyncCallbackManager:
    """Return the callbacks for what runs within a run: its own that are inherited, with it as the parent."""
    child = AsyncCallbackManager(handlers=[], parent_run_id=run.run_id)
    child.set_handlers(run.inheritable_handlers)
    child.add_tags(run.inheritable_tags)
    child.add_metadata(run.inheritable_metadata)
    return child
