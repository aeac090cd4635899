"""Errors that more than one backend raises, in the caller's words."""

from shared.errors import NotFound


class ModelNotFound(NotFound):
    """No such model. The code and the first words are OpenAI's, since clients look for them."""

    code = "model_not_found"

    def __init__(self, model: str, hint: str) -> None:
        super().__init__(f"The model `{model}` does not exist or you do not have access to it. {hint}", param="model")
