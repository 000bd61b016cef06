"""`langchain-darkai models`."""

import argparse

from langchain_darkai.cli.endpoint import add_endpoint_options, reached_model
from langchain_darkai.cli.failures import CommandError

__all__ = ["HELP", "add_options", "run"]

HELP = "list the models of the endpoint, the default first"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_endpoint_options(command, timeout=30.0, with_model=False)


def run(options: argparse.Namespace) -> None:
    """Print the names, one a line."""
    from langchain_darkai.cli.model_names import host_of, model_names

    with reached_model(options) as model:
        names = model_names(model)
        if names is None:
            raise CommandError(f"{host_of(model)} has no list of its models.")
        print(*names, sep="\n")
