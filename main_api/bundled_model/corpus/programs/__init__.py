"""Tasks for small Python programs: `of_*.py` what they do and print, `*_inputs.py` what they are about."""
