"""The tool `python_coder`, also `python_repl`: Python for models, in the sandbox, with files and plots."""

from tools_api.python_coder.runtime import warm_profile
from tools_api.python_coder.tool import PythonCoder, PythonCoderOptions

__all__ = ["PythonCoder", "PythonCoderOptions", "warm_profile"]
