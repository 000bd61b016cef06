"""`langchain-darkai demo`."""

import argparse

from langchain_darkai.cli.failures import needs_extra

__all__ = ["HELP", "add_options", "run"]

HELP = "show the package at work, on DARKAI_BASE_URL or on a local server"


def add_options(demo: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    demo.add_argument(
        "--backend",
        metavar="PROVIDER:MODEL",
        help="the model of the local server, as `serve` takes it, such as llama.cpp:FILE.gguf (default: offline)",
    )


def run(options: argparse.Namespace) -> None:
    """Run the tour."""
    with needs_extra("the demo"):
        from langchain_darkai.cli.tour import run_demo

    run_demo(options.backend)
