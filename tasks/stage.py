"""What makes a Prefect task a stage here: its result is a reference, kept by content, so a killed run resumes."""

import functools
from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.context import TaskRunContext
from pydantic import BaseModel

from tasks.workspace import Workspace, code_digest, digest

_code_digest = functools.cache(code_digest)


def _plain(value: object) -> object:
    if isinstance(value, Workspace):
        return value.identity()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def content_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Return the cache key of a stage: its name, arguments, workspace (see `Workspace.identity`) and library code."""
    return digest(
        {
            "stage": context.task.name,
            "code": _code_digest(),
            "parameters": {k: _plain(v) for k, v in parameters.items()},
        }
    )


def stage(name: str, *, run_name: str | None = None, retries: int = 0) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a function as a stage whose finished result is found again by `content_key`."""

    def decorate(function: Callable[..., Any]) -> Any:
        return task(
            name=name,
            task_run_name=run_name,
            retries=retries,
            retry_delay_seconds=[2.0, 10.0, 30.0][:retries] if retries else None,
            retry_jitter_factor=0.5 if retries else None,
            persist_result=True,
            cache_key_fn=content_key,
        )(function)

    return decorate
