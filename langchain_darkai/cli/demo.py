"""`langchain-darkai demo`."""

import argparse

__all__ = ["HELP", "add_options", "run"]

HELP = "show the package at work, on DARKAI_BASE_URL or on a local server"


def add_options(_command: argparse.ArgumentParser) -> None:
    """There are none."""


def run(_options: argparse.Namespace) -> None:
    """Run the tour."""
    from langchain_darkai.cli.tour import run_demo

    run_demo()
