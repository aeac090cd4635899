"""What the bundled model can do: sets of requests written by hand, asked in the real engine as the product asks them.

    python -m main_api.bundled_model.evaluation --model FILE.gguf --set everyday --set terse

`evaluate.py` is the way in. The sets are kept apart from the corpus: nothing here reads a phrase or a template of it,
and the corpus reads nothing of the sets.
"""
