"""The beginning of scripts that stand in for bwrap and look at its arguments."""

EXPAND = """
if [ "$1" = --args ]; then
    mapfile -d '' -t options <&"$2"
    shift 2
    set -- "${options[@]}" "$@"
fi
"""
"""For bash: puts the options that come through a descriptor before the command, as bwrap does."""
