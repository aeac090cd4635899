"""The encoder's child process: the only part of the tools API that holds torch."""
