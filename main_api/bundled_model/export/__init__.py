"""From a checkpoint to the files that people run, the way back, and the proof that all of them answer alike."""
