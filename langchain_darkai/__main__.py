"""`python -m langchain_darkai`."""

import sys

from langchain_darkai.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
