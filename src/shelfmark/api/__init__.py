"""The Python interface, for notebooks and programs.

The same functions serve the command line, so both give the same answers.
"""
