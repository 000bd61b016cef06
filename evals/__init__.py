"""How well a model calls tools, through this package and without it. README.md, beside this file, tells more."""
